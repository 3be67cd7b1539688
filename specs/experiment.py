"""Experiment: from a table to the best model. Names follow Katib: objective, algorithm, earlyStopping, trials."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from specs.dataset import ColumnName, Digest
from specs.meta import Column, Counter, Model, Names, ObjectName, Quantity, Resource, Rule, Status, Timestamp
from specs.parameters import Candidates
from specs.references import ObjectRef

MetricName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-zA-Z][a-zA-Z0-9_]*$")]
Metric = Annotated[float, Field(ge=-1e15, le=1e15)]


class Selection(Model):
    """Which of the extracted features are kept."""

    method: Literal["mutualInformation", "fTest", "modelBased", "none"] = "none"
    """How features are scored."""
    max_features: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """How many are kept at most; null: all that score above zero (modelBased: above the mean)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.method == "none" and self.max_features is not None:
            raise ValueError("maxFeatures: method none keeps all features; remove it, or choose a method")
        return self


class Features(Model):
    """How columns become features. Each column is prepared by its type; constant and unique ones are left out."""

    exclude: Annotated[list[ColumnName], Field(max_length=2000)] = []
    """Columns that are never used."""
    high_cardinality: Annotated[int, Field(ge=2, le=10_000)] = 20
    """From so many values on a category is encoded by its target, below by one column per value."""
    selection: Selection = Selection()
    """Which of them are kept."""


class Limits(Model):
    """The most that one process may take."""

    cpu: Quantity = "1"
    """Cores."""
    memory: Quantity = "2Gi"
    """Memory; a process that wants more is ended."""


class ScreeningResources(Model):
    """What a candidate may take."""

    limits: Limits = Limits()
    """The most."""


class Screening(Model):
    """Each candidate is tried with its defaults, in a process of its own; the best go on."""

    keep_top: Annotated[int, Field(ge=1, le=64)] = 2
    """How many candidates go on to be tuned."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    """How long one candidate may take."""
    resources: ScreeningResources = ScreeningResources()
    """What one candidate may take."""


class Objective(Model):
    """What is best."""

    type: Literal["maximize", "minimize"]
    """Which end is best."""
    objective_metric_name: MetricName
    """What is measured: accuracy, balanced_accuracy, f1_macro, roc_auc, log_loss; rmse, mae, r2, mape."""
    goal: Metric | None = None
    """The search ends once the metric is as good as this."""
    additional_metric_names: Annotated[list[MetricName], Field(max_length=16)] = []
    """What is measured besides."""


class Algorithm(Model):
    """How configurations are chosen."""

    algorithm_name: Literal["random", "grid", "tpe"] = "random"
    """By chance, all of them, or by what is known of those before (tree-structured Parzen estimator)."""


class EarlyStopping(Model):
    """Which trials end early."""

    algorithm_name: Literal["racing", "none"] = "none"
    """racing: a trial ends after the folds that show it to be worse than the best so far; none: each runs all folds."""


class Evaluation(Model):
    """How configurations are measured."""

    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Cross-validation folds of a trial."""
    held_out_share: Annotated[float, Field(ge=0.01, le=0.5)] = 0.2
    """The share of rows that no training ever sees: a hash of the row's content decides."""


class ExperimentSpec(Model):
    """The search that should be made."""

    dataset_ref: ObjectRef
    """The table. Another content is another run."""
    cluster_ref: ObjectRef
    """The RayCluster that it runs on."""
    task: Literal["auto", "classification", "regression"] = "auto"
    """auto: by the type of the target column."""
    seed: Annotated[int, Field(ge=0, le=4_294_967_295)] = 0
    """Same table, code, spec and seed: same model."""
    features: Features = Features()
    """How columns become features."""
    candidates: Candidates = Field(default_factory=list, json_schema_extra={"default": "auto"})
    """`auto`, a sensible set for the task, or a list of {name, estimator, parameters: [{name, parameterType, feasibleSpace}]}."""
    screening: Screening = Screening()
    """Each candidate is tried with its defaults; the best go on."""
    objective: Objective
    """What is best."""
    algorithm: Algorithm = Algorithm()
    """How configurations are chosen."""
    early_stopping: EarlyStopping = EarlyStopping()
    """Which trials end early."""
    parallel_trial_count: Annotated[int, Field(ge=1, le=256)] = 2
    """How many trials run at once. Trial j is suggested by what all trials up to j minus twice this many came to."""
    max_trial_count: Annotated[int, Field(ge=1, le=100_000)] = 12
    """How many trials there are in all. Raising it goes on where the search ended."""
    max_failed_trial_count: Annotated[int, Field(ge=0, le=100_000)] = 3
    """The search fails once more trials than this failed."""
    trial_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 600
    """How long one trial may take."""
    evaluation: Evaluation = Evaluation()
    """How configurations are measured."""
    backoff_limit: Annotated[int, Field(ge=0, le=100)] = 6
    """How often a job that died is started again; it goes on where it was."""
    model_history_limit: Annotated[int, Field(ge=1, le=32)] = 8
    """How many ModelVersions are kept; the oldest goes. The store keeps its model."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [candidate.name for candidate in self.candidates]
        if len(set(names)) != len(names):
            raise ValueError("candidates: a candidate's name stands twice; rename one")
        if self.algorithm.algorithm_name == "grid":
            for candidate in self.candidates:
                for parameter in candidate.parameters:
                    if parameter.parameter_type == "double" and parameter.feasible_space.step is None:
                        raise ValueError(f"candidates: grid needs a step for {candidate.name}.{parameter.name}")
        return self


class ParameterAssignment(Model):
    """One parameter as a trial had it."""

    name: Annotated[str, Field(max_length=255)]
    """The parameter."""
    value: Annotated[str, Field(max_length=255)]
    """Its value, as text."""


class MetricStatus(Model):
    """One metric as it was measured."""

    name: Annotated[str, Field(max_length=63)]
    """The metric."""
    latest: Annotated[str, Field(max_length=63)]
    """Its value, as text: Katib's habit."""


class Observation(Model):
    """What a trial measured."""

    metrics: Annotated[list[MetricStatus], Field(max_length=32)] = []
    """Its metrics."""


class OptimalTrial(Model):
    """The best trial so far."""

    best_trial_name: Annotated[str, Field(max_length=255)]
    """Its name."""
    candidate: Annotated[str, Field(max_length=63)] = ""
    """Whose it is."""
    parameter_assignments: Annotated[list[ParameterAssignment], Field(max_length=64)] = []
    """Its parameters."""
    observation: Observation = Observation()
    """What it measured."""


class CandidateStatus(Model):
    """How a candidate did in the screening."""

    name: Annotated[str, Field(max_length=63)]
    """Its name."""
    estimator: Annotated[str, Field(max_length=128)] = ""
    """Its class."""
    state: Annotated[str, Field(max_length=63)] = ""
    """Pending, Running, Succeeded, Failed, OutOfMemory, TimedOut."""
    score: Annotated[str, Field(max_length=63)] | None = None
    """The objective's metric, as text."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it failed."""


class FeatureStatus(Model):
    """One feature that was scored."""

    name: Annotated[str, Field(max_length=511)]
    """Its name."""
    score: Annotated[str, Field(max_length=63)] | None = None
    """Its score, as text; null where nothing was scored."""
    chosen: bool = True
    """Whether it was kept."""


class ModelStatus(Model):
    """The model that this run made."""

    name: ObjectName
    """Its ModelVersion."""
    digest: Digest
    """Its content."""


class ExperimentStatus(Status):
    """How the search goes. Trials by state are Katib's counts; `anneal get trials` lists them."""

    run_id: Annotated[str, Field(max_length=64)] | None = None
    """Which run this speaks of: a hash of table, code and spec."""
    submission_id: Annotated[str, Field(max_length=128)] | None = None
    """Run and attempt of the job."""
    attempt: Counter | None = None
    """How often the job was started."""
    dataset_digest: Digest | None = None
    """The table of this run."""
    stage: Annotated[str, Field(max_length=63)] | None = None
    """What it is at: Reading, Features, Screening, Tuning, Refit, Evaluation, Packaging."""
    start_time: Timestamp | None = None
    """When the run began."""
    completion_time: Timestamp | None = None
    """When it ended."""
    trials: Counter | None = None
    """How many trials there are so far."""
    trials_succeeded: Counter | None = None
    """How many went well."""
    trials_failed: Counter | None = None
    """How many failed."""
    trials_running: Counter | None = None
    """How many run now."""
    trials_early_stopped: Counter | None = None
    """How many were ended early."""
    current_optimal_trial: OptimalTrial | None = None
    """The best so far."""
    candidates: Annotated[list[CandidateStatus], Field(max_length=64)] = []
    """How the candidates did in the screening."""
    features: Annotated[list[FeatureStatus], Field(max_length=200)] = []
    """The features and their scores, best first; the first 200."""
    failed_trials: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(max_length=16)] = []
    """The latest failures, in the words of what failed."""
    metrics: Annotated[list[MetricStatus], Field(max_length=32)] = []
    """What the model scores on the held-out rows."""
    model: ModelStatus | None = None
    """The model of the latest run that succeeded."""
    resolved: Annotated[dict[str, Any], Field(max_length=64)] | None = None
    """The inputs of the run."""


class Experiment(Resource):
    """From a table to the best model: features, screening, tuning, evaluation, a ModelVersion."""

    names: ClassVar[Names] = Names("Experiment", "experiments", "experiment", ("exper",))
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether its model is there"),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not ready"),
        Column("Stage", "string", ".status.stage", "What it is at", 1),
        Column("Succeeded", "integer", ".status.trialsSucceeded", "Trials that went well", 1),
        Column("Failed", "integer", ".status.trialsFailed", "Trials that failed", 1),
        Column("Max", "integer", ".spec.maxTrialCount", "Trials in all", 1),
        Column("Best", "string", ".status.currentOptimalTrial.bestTrialName", "The best trial", 1),
        Column("Model", "string", ".status.model.name", "Its ModelVersion", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since it was created"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "How far it is, or the deepest cause"),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("spec.features.selection", "!(self.method == 'none' && has(self.maxFeatures))",
             "maxFeatures: method none keeps all features"),
    )  # fmt: skip

    kind: Literal["Experiment"]
    """Experiment."""
    spec: ExperimentSpec
    """The search that should be made."""
    status: ExperimentStatus | None = None
    """How the search goes."""
