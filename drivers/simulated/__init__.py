"""The simulated cloud, reached over HTTP: for tests, and for trying anneal without a cloud."""
