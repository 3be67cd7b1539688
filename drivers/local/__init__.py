"""This machine as a provider: it is looked at, never made and never removed."""
