"""The daemon: reads desired state, compares it with the world, converges the two."""
