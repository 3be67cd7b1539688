"""ModelVersion: an immutable model in the store, named by its content. Made by an Experiment, or brought by a user."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from specs.dataset import URI, Digest
from specs.experiment import MetricStatus, ParameterAssignment
from specs.meta import Column, Counter, Model, Names, Resource, Rule, Status, Timestamp

SOURCES = ("digest", "uri")


class ModelVersionSpec(Model):
    """The model. It never changes: another model is another ModelVersion."""

    digest: Digest | None = None
    """The content of a model that is in the store. anneal's own ModelVersions have it."""
    uri: Annotated[str, Field(min_length=1, max_length=2048, pattern=URI)] | None = None
    """A model that is brought: a skops or ONNX file, or a folder of a model package. Relative to the spec's file, or a URI."""
    model_format: Literal["auto", "package", "skops", "onnx"] = "auto"
    """What stands under the URI; auto looks at its end. A pickle is never read."""
    signature_uri: Annotated[str, Field(min_length=1, max_length=2048, pattern=URI)] | None = None
    """A signature.json for a model that brings none."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        present = [name for name in SOURCES if getattr(self, name) is not None]
        if len(present) != 1:
            raise ValueError(f"exactly one of {', '.join(SOURCES)} must be set, not {len(present)}")
        if self.digest is not None and (self.model_format != "auto" or self.signature_uri is not None):
            raise ValueError("digest: what is in the store has a format and a signature; remove modelFormat and signatureUri")
        return self


class Lineage(Model):
    """Where a model comes from."""

    experiment: Annotated[str, Field(max_length=63)] | None = None
    """The Experiment that made it."""
    run_id: Annotated[str, Field(max_length=64)] | None = None
    """Its run."""
    dataset_digest: Annotated[str, Field(max_length=71)] | None = None
    """The table that it was trained on."""
    code_digest: Annotated[str, Field(max_length=71)] | None = None
    """The code that trained it."""
    seed: Counter | None = None
    """The seed."""


class ModelVersionStatus(Status):
    """The model as it was last verified."""

    digest: Digest | None = None
    """Its content."""
    path: Annotated[str, Field(max_length=4096)] | None = None
    """Where it lies in the store."""
    bytes: Counter | None = None
    """How large it is."""
    formats: Annotated[list[Annotated[str, Field(max_length=63)]], Field(max_length=8)] = []
    """What it can be served with: skops, onnx."""
    task: Annotated[str, Field(max_length=63)] | None = None
    """classification or regression."""
    estimator: Annotated[str, Field(max_length=255)] | None = None
    """Its class."""
    metrics: Annotated[list[MetricStatus], Field(max_length=32)] = []
    """What it scored on the held-out rows."""
    parameters: Annotated[list[ParameterAssignment], Field(max_length=64)] = []
    """Its parameters."""
    features: Annotated[list[Annotated[str, Field(max_length=511)]], Field(max_length=200)] = []
    """The features it uses; the first 200."""
    example: Annotated[str, Field(max_length=4096)] | None = None
    """One row to try it with, as JSON."""
    lineage: Lineage | None = None
    """Where it comes from."""
    note: Annotated[str, Field(max_length=1024)] | None = None
    """What was noticed when it was packaged, such as why there is no ONNX."""
    verified_time: Timestamp | None = None
    """When its bytes were last hashed."""
    resolved: Annotated[dict[str, Any], Field(max_length=64)] | None = None
    """The inputs it was brought with."""


class ModelVersion(Resource):
    """An immutable model, named by its content, with signature, metrics and lineage."""

    names: ClassVar[Names] = Names("ModelVersion", "modelversions", "modelversion", ("mver",))
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether it can be served"),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not ready"),
        Column("Digest", "string", ".status.digest", "Its content", 1),
        Column("Estimator", "string", ".status.estimator", "Its class", 1),
        Column("Experiment", "string", ".status.lineage.experiment", "What made it", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since it was created"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "What it is, or the deepest cause"),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("spec", "[has(self.digest), has(self.uri)].filter(x, x).size() == 1", "exactly one of digest, uri must be set"),
        Rule("spec", "!(has(self.digest) && (self.modelFormat != 'auto' || has(self.signatureUri)))",
             "digest: what is in the store has a format and a signature"),
        Rule("spec", "has(self.digest) == has(oldSelf.digest) && (!has(self.digest) || self.digest == oldSelf.digest)",
             "a model never changes; create another ModelVersion"),
        Rule("spec", "has(self.uri) == has(oldSelf.uri) && (!has(self.uri) || self.uri == oldSelf.uri)",
             "a model never changes; create another ModelVersion"),
    )  # fmt: skip

    kind: Literal["ModelVersion"]
    """ModelVersion."""
    spec: ModelVersionSpec
    """The model."""
    status: ModelVersionStatus | None = None
    """The model as it was last verified."""

    @classmethod
    def changes_refused(cls, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
        """A model never changes."""
        before, after = old.get("spec") or {}, new.get("spec") or {}
        return [
            (f"spec.{name}", "a model never changes; create another ModelVersion")
            for name in SOURCES
            if before.get(name) != after.get(name)
        ]
