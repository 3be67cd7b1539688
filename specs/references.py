"""References: to another object of the same namespace, and to a secret that never stands in a spec itself."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from specs.meta import Model, ObjectName

FilePath = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A file of the daemon's machine."""


class ObjectRef(Model):
    """Another object in the same namespace, by its name. It is looked at, never changed."""

    name: ObjectName
    """Its name."""


class SecretKeyRef(Model):
    """One key of a Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
    """Key within its data."""


class CredentialsRef(Model):
    """Where a secret is read from: exactly one of the three. A secret never stands in a spec itself."""

    file: FilePath | None = None
    """Path of a file that holds it; read anew when it changes."""
    env: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of an environment variable of the daemon."""
    secret_key_ref: SecretKeyRef | None = None
    """A key of a Secret."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(x is not None for x in (self.file, self.env, self.secret_key_ref)) != 1:
            raise ValueError("exactly one of file, env, secretKeyRef must be set")
        return self
