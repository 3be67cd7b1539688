"""What runs in production: the web app and its workers. Imports neither the reconciler nor the drivers."""
