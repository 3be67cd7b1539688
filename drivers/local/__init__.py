"""This machine: the embedded default. Nothing is created outside."""
