"""Dataset: a table by URI, pinned by digest, with a schema and checks. Names follow Frictionless Table Schema."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from specs.meta import Column, Counter, Model, Names, Resource, Rule, Status, Timestamp
from specs.references import CredentialsRef

URI = r"^([a-z][a-z0-9+.-]*://)?[^\x00-\x1f\x7f]+$"
DIGEST = r"^sha256:[0-9a-f]{64}$"

ColumnName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A column's name: any text of a header line."""
Digest = Annotated[str, Field(max_length=71, pattern=DIGEST)]
Host = Annotated[str, Field(max_length=253, pattern=r"^[a-zA-Z0-9.:\[\]-]+$")]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(ge=-1e15, le=1e15)]
ColumnType = Literal["number", "integer", "boolean", "string", "datetime"]


class Constraints(Model):
    """What the values of one column must satisfy. Rows that do not are named in the condition Valid."""

    required: bool = False
    """Whether every row must have a value."""
    unique: bool = False
    """Whether no value may stand twice."""
    minimum: Number | None = None
    """The least value."""
    maximum: Number | None = None
    """The largest value."""
    enum: Annotated[list[Annotated[str, Field(max_length=255)]], Field(min_length=1, max_length=1000)] | None = None
    """The values there may be, as text."""
    max_null_share: Share = 1.0
    """The largest share of rows without a value."""


class ColumnSpec(Model):
    """One column that the table must have."""

    name: ColumnName
    """As in the header line."""
    type: ColumnType | None = None
    """What its values are; inferred where nothing is said."""
    constraints: Constraints = Constraints()
    """What its values must satisfy."""


class TableSchema(Model):
    """The columns that the table must have. Inferred, and written to the status, where none is given."""

    fields: Annotated[
        list[ColumnSpec],
        Field(
            min_length=1,
            max_length=2000,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """The columns. Each must be there."""
    extra_fields: Literal["Allow", "Deny"] = "Allow"
    """Whether the table may have columns that are not named here."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [column.name for column in self.fields]
        if len(set(names)) != len(names):
            raise ValueError("fields: a column's name stands twice; remove one")
        return self


class Checks(Model):
    """What the whole table must satisfy."""

    min_rows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    """The least number of rows."""
    max_null_share: Share = 1.0
    """The largest share of missing values that any column may have."""
    unique_rows: bool = False
    """Whether no row may stand twice."""


class DatasetSpec(Model):
    """The table that should be at hand."""

    uri: Annotated[str, Field(min_length=1, max_length=2048, pattern=URI)]
    """Where it is: a path relative to the spec's file, or file://, http(s)://, s3:// …"""
    format: Literal["auto", "csv", "parquet"] = "auto"
    """How it is written; auto looks at the end of the URI."""
    target: ColumnName | None = None
    """The column that models are to predict."""
    digest: Digest | None = None
    """Pins the table: another content is refused. Without it the table is followed."""
    refresh_interval_seconds: Annotated[int, Field(ge=10, le=2_592_000)] | None = None
    """How often a followed URI is fetched anew; null: never. A local file is noticed at once."""
    table_schema: TableSchema | None = Field(default=None, alias="schema")
    """The columns that it must have."""
    checks: Checks = Checks()
    """What the whole table must satisfy."""
    allowed_hosts: Annotated[list[Host], Field(max_length=16)] = []
    """Hosts with private addresses that may be fetched from. Others are refused."""
    max_bytes: Annotated[int, Field(ge=1, le=1_000_000_000_000)] = 10_000_000_000
    """The largest table that is fetched."""
    credentials_ref: CredentialsRef | None = None
    """The bearer token (http) or the "key:secret" (s3) that the URI asks for."""

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return "://" not in self.uri or self.uri.startswith("file://")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.digest is not None and self.refresh_interval_seconds is not None:
            raise ValueError("refreshIntervalSeconds: a table that is pinned by digest never changes; remove one of the two")
        if self.is_local and self.credentials_ref is not None:
            raise ValueError("credentialsRef: a local file needs none; remove it")
        if self.is_local and self.allowed_hosts:
            raise ValueError("allowedHosts: a local file has no host; remove it")
        return self


class ColumnStatus(Model):
    """One column as it was found."""

    name: Annotated[str, Field(max_length=255)]
    """Its name."""
    type: Annotated[str, Field(max_length=63)]
    """What its values are."""
    missing: Share = 0.0
    """The share of rows without a value."""
    unique: Counter | None = None
    """How many different values it has."""
    minimum: Annotated[str, Field(max_length=255)] | None = None
    """The least value, as text."""
    maximum: Annotated[str, Field(max_length=255)] | None = None
    """The largest value, as text."""


class ProblemStatus(Model):
    """What is wrong with the table."""

    column: Annotated[str, Field(max_length=255)] | None = None
    """Which column; none: the whole table."""
    rows: Annotated[list[Annotated[int, Field(ge=0, le=2**53)]], Field(max_length=32)] = []
    """The first rows that are wrong; the first row of data is 1."""
    message: Annotated[str, Field(max_length=1024)]
    """What is wrong."""


class DatasetStatus(Status):
    """The table as it was last fetched."""

    digest: Digest | None = None
    """The content. A changed table is a new digest."""
    path: Annotated[str, Field(max_length=4096)] | None = None
    """Where it lies on this machine."""
    rows: Counter | None = None
    """How many rows it has."""
    bytes: Counter | None = None
    """How large it is."""
    columns: Annotated[list[ColumnStatus], Field(max_length=2000)] = []
    """Its columns: given or inferred."""
    problems: Annotated[list[ProblemStatus], Field(max_length=100)] = []
    """What the checks found."""
    fetched_time: Timestamp | None = None
    """When it was last fetched."""
    resolved: Annotated[dict[str, Any], Field(max_length=64)] | None = None
    """The inputs that it was fetched with."""


class Dataset(Resource):
    """A table by URI: fetched, pinned by digest, its schema inferred or enforced, its content checked."""

    names: ClassVar[Names] = Names("Dataset", "datasets", "dataset", ("dset",))
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether it can be used"),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not ready"),
        Column("Rows", "integer", ".status.rows", "How many rows it has", 1),
        Column("Digest", "string", ".status.digest", "Its content", 1),
        Column("URI", "string", ".spec.uri", "Where it comes from", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since it was created"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "What it holds, or the deepest cause"),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("spec", "!(has(self.digest) && has(self.refreshIntervalSeconds))",
             "refreshIntervalSeconds: a table that is pinned by digest never changes"),
        Rule("spec", "!((!self.uri.contains('://') || self.uri.startsWith('file://')) && has(self.credentialsRef))",
             "credentialsRef: a local file needs none"),
        Rule("spec", "!((!self.uri.contains('://') || self.uri.startsWith('file://')) && self.allowedHosts.size() > 0)",
             "allowedHosts: a local file has no host"),
        Rule("spec.credentialsRef",
             "[has(self.file), has(self.env), has(self.secretKeyRef)].filter(x, x).size() == 1",
             "exactly one of file, env, secretKeyRef must be set"),
    )  # fmt: skip

    kind: Literal["Dataset"]
    """Dataset."""
    spec: DatasetSpec
    """The table that should be at hand."""
    status: DatasetStatus | None = None
    """The table as it was last fetched."""
