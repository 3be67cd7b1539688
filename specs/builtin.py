"""The kinds of Kubernetes that a folder of specs may hold beside ours: ConfigMap, Secret and Namespace, checked lightly."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from specs.meta import DNS_SUBDOMAIN, Model, ObjectMeta

MAX_DATA = 1024 * 1024
"""Most characters of one value: Kubernetes takes no larger object."""

DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
DataValue = Annotated[str, Field(max_length=MAX_DATA)]


def _base64(text: str) -> str:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("said", "expected base64; write plain text under stringData") from None
    return text


Base64 = Annotated[str, Field(max_length=2 * MAX_DATA), AfterValidator(_base64)]


class DottedMeta(ObjectMeta):
    """ObjectMeta whose name may hold dots."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)] | None = None
    """Unique within the namespace."""


class BuiltIn(Model):
    """The base of the kinds that are not ours."""

    namespaced: ClassVar[bool] = True

    api_version: Literal["v1"]
    """The version of the core group."""


class ConfigMap(BuiltIn):
    """v1 ConfigMap."""

    kind: Literal["ConfigMap"]
    """ConfigMap."""
    metadata: DottedMeta
    """Name, namespace, labels, annotations, owners."""
    data: Annotated[dict[DataKey, DataValue], Field(max_length=1024)] | None = None
    """Text by key."""
    binary_data: Annotated[dict[DataKey, Base64], Field(max_length=1024)] | None = None
    """Bytes by key, as base64."""
    immutable: bool | None = None
    """Whether data is for life."""


class Secret(BuiltIn):
    """v1 Secret. Its values are never repeated in an error."""

    kind: Literal["Secret"]
    """Secret."""
    metadata: DottedMeta
    """Name, namespace, labels, annotations, owners."""
    data: Annotated[dict[DataKey, Base64], Field(max_length=1024)] | None = None
    """Bytes by key, as base64."""
    string_data: Annotated[dict[DataKey, DataValue], Field(max_length=1024)] | None = None
    """Text by key; the server moves it to data."""
    type: Annotated[str, Field(max_length=253)] | None = None
    """What the secret is for; Opaque where nothing is said."""
    immutable: bool | None = None
    """Whether data is for life."""


class Namespace(BuiltIn):
    """v1 Namespace."""

    namespaced = False

    kind: Literal["Namespace"]
    """Namespace."""
    metadata: ObjectMeta
    """Name, labels, annotations."""
    spec: dict[str, Any] | None = None
    """Finalizers; not for the user."""
    status: dict[str, Any] | None = None
    """Phase; not for the user."""


BUILTIN: dict[str, type[BuiltIn]] = {"ConfigMap": ConfigMap, "Secret": Secret, "Namespace": Namespace}
