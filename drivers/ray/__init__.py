"""Ray, by its Jobs REST API; ray itself is never imported here."""
