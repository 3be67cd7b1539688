"""The outside world: one folder per provider. In each, only client.py imports the SDK it wraps."""
