"""The one loop that every kind goes through."""
