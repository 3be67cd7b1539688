"""The search beside scikit-learn's and Optuna's: 48 configurations × 5 folds of three candidates, on 6,000 rows of diamonds.

All sides are warm (libraries imported, worker processes there, Ray up), take the same folds, spaces, estimators and preparation
of columns, and use two cores. What is measured of ours is the tuning of an Experiment as its job does it: folds prepared, actors
started, trials run and journalled. The score is R² over five folds; the promise holds only at a best score within 0.002.
"""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figure import Figure, Options, medians

ROWS, CONFIGURATIONS, FOLDS, SEED, CORES = 6000, 48, 5, 0, 2
WITHIN = 0.002
TABLE = Path(__file__).parents[1] / "examples" / "diamonds" / "data" / "diamonds.csv"

CANDIDATES: list[dict[str, Any]] = [
    {"name": "ridge", "estimator": "Ridge", "parameters": [("alpha", "double", 0.001, 1000, "logUniform")]},
    {
        "name": "forest",
        "estimator": "RandomForestRegressor",
        "parameters": [("max_features", "double", 0.2, 1.0, "uniform"), ("min_samples_leaf", "int", 1, 8, "uniform")],
    },
    {
        "name": "boosting",
        "estimator": "HistGradientBoostingRegressor",
        "parameters": [
            ("learning_rate", "double", 0.02, 0.3, "logUniform"),
            ("max_leaf_nodes", "int", 8, 64, "uniform"),
            ("max_iter", "int", 50, 250, "uniform"),
        ],
    },
]


async def run(options: Options) -> list[Figure]:
    """Run each side in turn, and compare. It blocks: nothing else is to happen meanwhile."""
    from tests.support.rayhead import RayHead
    from training.raytune import Cluster, connected

    count, repeats = options.scaled(CONFIGURATIONS, 6), 1 if options.quick else 3
    data = _data()
    head = RayHead()
    taken: dict[str, list[float]] = {}
    best: dict[str, float] = {}
    try:
        options.say("Ray starts")
        head.start()
        sides: dict[str, Callable[[], tuple[float, int]]] = {
            "ours": _ours(data, options.folder, count, "random"),
            "ours, tpe": _ours(data, options.folder, count, "tpe"),
            "sklearn": lambda: _sklearn(data, count),
            "optuna": lambda: _optuna(data, options.folder, count),
        }
        with connected(Cluster(**head.request), lambda: options.say("the head of Ray is gone")):
            for turn in range(repeats + 1):  # the first turn warms everything up
                for name, side in sides.items():
                    if turn == 0 and name == "ours, tpe":
                        continue
                    begun = time.perf_counter()
                    score, fits = side()
                    seconds = time.perf_counter() - begun
                    options.say(f"{name}: {seconds:.1f} s, best R² {score:.4f}, {fits} fits")
                    if turn:
                        taken.setdefault(name, []).append(seconds)
                        best[name] = score
    finally:
        head.close()
    return _figures(taken, best, count)


def _figures(taken: dict[str, list[float]], best: dict[str, float], count: int) -> list[Figure]:
    what = f"{count} configurations × {FOLDS} folds"
    found = []
    for name, limit in (("ours", 1.0), ("ours, tpe", 1.0)):
        label = "RandomizedSearchCV(n_jobs=2)"
        found.append(medians("search", f"{what}, {name}", "s", taken[name], label, taken["sklearn"], times_baseline=limit))
        found.append(medians("search", f"{what}, {name}", "s", taken[name], "Optuna TPE, pruning, 2 processes", taken["optuna"]))
        lost = max(0.0, best["sklearn"] - best[name])
        found.append(Figure("search", f"R² lost, {name}", lost, "", WITHIN, "best R²", best["sklearn"]))
    return found


def _data() -> Any:
    import pandas as pd

    from training.data import Data, Rows

    table = pd.read_csv(TABLE).sample(ROWS, random_state=SEED).reset_index(drop=True)
    inputs, target = table.drop(columns="price"), table["price"].to_numpy(dtype="float64")
    columns = tuple((name, "categorical" if name in ("cut", "color", "clarity") else "numeric") for name in inputs.columns)
    rows = Rows(inputs, target)
    return Data("regression", "price", columns, rows, rows, None, 0)


def _spec(count: int, algorithm: str) -> Any:
    from specs.experiment import ExperimentSpec

    keys = ("min", "max", "distribution")
    candidates = [
        {
            **one,
            "parameters": [
                {"name": name, "parameterType": kind, "feasibleSpace": dict(zip(keys, space, strict=True))}
                for name, kind, *space in one["parameters"]
            ],
        }
        for one in CANDIDATES
    ]
    return ExperimentSpec.model_validate(
        {
            "datasetRef": {"name": "diamonds"},
            "clusterRef": {"name": "diamonds"},
            "seed": SEED,
            "candidates": candidates,
            "objective": {"type": "maximize", "objectiveMetricName": "r2"},
            "algorithm": {"algorithmName": algorithm},
            "earlyStopping": {"algorithmName": "racing"},
            "parallelTrialCount": CORES,
            "maxTrialCount": count,
            "evaluation": {"folds": FOLDS},
        }
    )


class _Nobody:
    def begun(self, trial: Any) -> None: ...

    def ended(self, outcome: Any) -> None: ...


def _ours(data: Any, folder: Path, count: int, algorithm: str) -> Callable[[], tuple[float, int]]:
    from training import folds, raytune, tuning
    from training.measuring import Problem
    from training.search import Search
    from training.spaces import Space
    from training.trials import Journal

    spec = _spec(count, algorithm)
    estimators = {one.name: (one.estimator, {}) for one in spec.candidates}
    problem = Problem("regression", "r2", True, (), SEED, 0, estimators)

    def go() -> tuple[float, int]:
        prepared = folds.make(data, spec)
        journal = Journal(folder / f"trials-{algorithm}-{time.monotonic_ns()}.jsonl", {})
        search = Search(spec, [Space.of(one) for one in spec.candidates])
        runner = raytune.on_ray(problem, prepared, folder=folder / "tune", parallel=CORES, seconds=600)
        best = tuning.tune(search, journal, runner, _Nobody())
        return best.metrics["r2"], sum(len(outcome.folds) for outcome in journal)

    return go


def _pipeline(estimator: str, parameters: dict[str, Any], data: Any) -> Any:
    from sklearn.pipeline import Pipeline

    from modelstore.transformers import Prepare
    from training.estimators import build

    prepare = Prepare(data.columns, task="regression", max_categories=19, seed=SEED)
    return Pipeline([("prepare", prepare), ("model", build(estimator, parameters, task="regression", seed=SEED))])


def _sklearn(data: Any, count: int) -> tuple[float, int]:
    from scipy import stats
    from sklearn.model_selection import KFold, RandomizedSearchCV

    best, each = float("-inf"), count // len(CANDIDATES)
    for one in CANDIDATES:
        spaces = {f"model__{name}": _scipy(stats, kind, low, high, how) for name, kind, low, high, how in one["parameters"]}
        search = RandomizedSearchCV(
            _pipeline(one["estimator"], {}, data), spaces, n_iter=each, scoring="r2", n_jobs=CORES, refit=False,
            random_state=SEED, cv=KFold(FOLDS, shuffle=True, random_state=SEED),
        )  # fmt: skip
        search.fit(data.train.inputs, data.train.target)
        best = max(best, float(search.best_score_))
    return best, each * len(CANDIDATES) * FOLDS


def _scipy(stats: Any, kind: str, low: float, high: float, how: str) -> Any:
    if kind == "int":
        return stats.randint(int(low), int(high) + 1)
    return stats.loguniform(low, high) if how == "logUniform" else stats.uniform(low, high - low)


def _optuna(data: Any, folder: Path, count: int) -> tuple[float, int]:
    import optuna

    path = str(folder / f"optuna-{time.monotonic_ns()}.log")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["bench.search", "optuna", "modelstore.transformers", "training.estimators", "sklearn.metrics"]
    )
    children = [context.Process(target=_optuna_worker, args=(path, data, count // CORES, SEED + i)) for i in range(CORES)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    study = optuna.load_study(study_name="bench", storage=_storage(path))
    return float(study.best_value), sum(len(trial.intermediate_values) for trial in study.trials)


def _storage(path: str) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(path))


def _optuna_worker(path: str, data: Any, count: int, seed: int) -> None:
    import optuna
    import threadpoolctl
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold

    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="bench", storage=_storage(path), load_if_exists=True, direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed), pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=0),
    )  # fmt: skip
    splits = list(KFold(FOLDS, shuffle=True, random_state=SEED).split(data.train.inputs))
    spaces = {one["name"]: one for one in CANDIDATES}

    def objective(trial: Any) -> float:
        one = spaces[trial.suggest_categorical("candidate", list(spaces))]
        values = {}
        for name, kind, low, high, how in one["parameters"]:
            ask = trial.suggest_int if kind == "int" else trial.suggest_float
            values[name] = ask(f"{one['name']}.{name}", low, high, log=how == "logUniform")
        scores: list[float] = []
        for step, (train, test) in enumerate(splits):
            model = _pipeline(one["estimator"], values, data)
            model.fit(data.train.inputs.iloc[train], data.train.target[train])
            scores.append(float(r2_score(data.train.target[test], model.predict(data.train.inputs.iloc[test]))))
            trial.report(sum(scores) / len(scores), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return sum(scores) / len(scores)

    with threadpoolctl.threadpool_limits(1):  # a core for each process: two whose threads wait for one another lose most of it
        study.optimize(objective, n_trials=count)
