"""From what clients send to columns, and from predictions to what clients read. Pure: bytes in, bytes out, errors by field."""
