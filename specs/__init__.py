"""What a user may write: pydantic models, one file per kind. No I/O; imports nothing of ours."""
