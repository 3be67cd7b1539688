"""The Flask application: HTTP on one side, the service on the other."""
