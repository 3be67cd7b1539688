"""The embedded Kubernetes API: store, routes, watch, patch, tables, openapi, auth."""
