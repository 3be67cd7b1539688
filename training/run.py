"""One run, stage by stage. What a stage needs is handed to it; what a kill must not lose is in the journal."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from specs.experiment import ExperimentSpec
from specs.meta import parse_quantity
from training import data as tables
from training import features, finishing, folds, screening, tuning
from training.data import Data
from training.errors import InvalidData, NoCandidateSucceeded, RestoreUnavailable, TrainingError
from training.estimators import automatic, check, fixed
from training.files import encode, read_json, write_json
from training.measuring import Problem
from training.progress import Progress, open_log
from training.runid import code_digest, versions
from training.search import Search
from training.spaces import Space
from training.trials import Journal, Outcome

AGAIN = 75
"""Exit code: start me again (EX_TEMPFAIL)."""
TOLD_TRIALS = 10
"""So many of the best trials a model's package tells of."""


class Run:
    """What lies in a run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.request: dict[str, Any] = read_json(folder / "spec.json")
        self.spec = ExperimentSpec.model_validate_json(encode(self.request["experiment"]))
        objective = self.spec.objective
        self.metric, self.maximize = objective.objective_metric_name, objective.type == "maximize"
        self.log = open_log(folder / "log")
        self.before = read_json(folder / "progress.json")
        self.progress = Progress(folder / "progress.json", self.log, metric=self.metric, maximize=self.maximize)

    def go(self) -> int:
        """Make the run, and tell how it ended; the exit code."""
        (self.folder / "result.json").unlink(missing_ok=True)
        self.log.info("run.started", name=self.request.get("name"), dataset=self.request["dataset"]["digest"], pid=os.getpid())
        try:
            return self._end(self._train())
        except TrainingError as e:
            return self._end({"error": e.record()})
        except (OSError, MemoryError) as e:  # a full disk, a store that is away: nothing that another attempt could not mend
            return self._end({"error": {"reason": "Interrupted", "message": f"cannot go on: {type(e).__name__}: {e}"[:1000]}})
        except Exception as e:
            self.log.exception("run.broke")
            return self._end({"error": {"reason": "InternalError", "message": f"cannot go on: {type(e).__name__}: {e}"[:1000]}})

    def _end(self, result: dict[str, Any]) -> int:
        error = result.get("error")
        self.log.info("run.finished", **(error or {"model": result["modelDigest"]}))
        write_json(self.folder / "result.json", result)
        if error is None:
            shutil.rmtree(self.folder / "work", ignore_errors=True)
            return 0
        return AGAIN if error["reason"] in ("RayUnreachable", "Interrupted") else 1

    def _train(self) -> dict[str, Any]:
        spec, progress = self.spec, self.progress
        journal = self._journal()
        with progress.stage("Reading") as stage:
            data = self._read()
            stage["message"] = f"{len(data.train)} rows to learn from, {len(data.held_out)} held out; {data.task}"
        with progress.stage("Features") as stage:
            prepared = features.preparation(data, spec.features, spec.seed)
            features.fit(prepared, data)
            progress.features = features.report(prepared)
            chosen = sum(row["chosen"] for row in progress.features)
            left_out = ", ".join(f"{name} is {why}" for name, why in features.dropped(prepared).items())
            stage["message"] = f"{chosen} of {len(progress.features)} features" + (f"; {left_out}" if left_out else "")
            prepared_folds = folds.make(data, spec)
        candidates = list(spec.candidates) or automatic(data.task)
        for candidate in candidates:
            check(candidate, data.task)
        problem = self._problem(data, candidates)
        if (cluster := self._cluster()) is not None:  # importing it takes as long as the screening, in which this process waits
            threading.Thread(target=_load, args=(cluster,), name="load ray", daemon=True).start()
        with progress.stage("Screening") as stage:
            finalists = self._screen(problem, prepared_folds)
            stage["message"] = f"{', '.join(finalists)} of {len(candidates)}"
        with progress.stage("Tuning") as stage:
            spaces = [Space.of(one) for one in candidates if one.name in finalists]
            search = Search(spec, spaces, journal)
            best = tuning.tune(search, journal, self._runner(problem, prepared_folds), progress)
            stage["message"] = f"{best.name}: {self.metric} {best.metrics[self.metric]:.6g}; {search.over}"
        with progress.stage("Refit"):
            model = finishing.refit(prepared, best, problem, data)
        with progress.stage("Evaluation") as stage:
            judged = finishing.judge(model, data, spec)
            stage["message"] = ", ".join(f"{name} {value:.6g}" for name, value in judged.metrics.items())
        with progress.stage("Packaging") as stage:
            digest, note = finishing.package(
                model, best, judged, problem, data, self.request["store"], self._lineage(best, journal)
            )
            stage["message"] = note
        return {
            "modelDigest": digest,
            "trial": best.name,
            "candidate": best.candidate,
            "parameters": best.parameters,
            "metrics": best.metrics,
            "heldout": judged.metrics,
            "features": [row for row in progress.features if row["chosen"]],
            "importances": judged.importances,
            "ended": search.over,
            "note": note,
        }

    def _read(self) -> Data:
        dataset, spec = self.request["dataset"], self.spec
        path = Path(dataset["path"])
        if not path.is_file():
            raise InvalidData(f"cannot read the table: {path.name} is not in the data folder any more; apply the Dataset again")
        return tables.load(
            path, target=dataset["target"], types=_types(dataset), task=spec.task, metric=self.metric,
            exclude=spec.features.exclude, share=spec.evaluation.held_out_share,
        )  # fmt: skip

    def _problem(self, data: Data, candidates: Sequence[Any]) -> Problem:
        also = tuple(name for name in self.spec.objective.additional_metric_names if name != self.metric)
        estimators = {one.name: (one.estimator, fixed(one)) for one in candidates}
        classes = 0 if data.classes is None else len(data.classes)
        return Problem(data.task, self.metric, self.maximize, also, self.spec.seed, classes, estimators)

    def _screen(self, problem: Problem, prepared: Sequence[folds.Fold]) -> list[str]:
        """The names of those that go on, in the spec's order. An earlier attempt's screening stands."""
        path, limits, keep = self.folder / "screening.json", self.spec.screening.resources.limits, self.spec.screening.keep_top
        if (rows := _rows(path)) is None:
            folds.save(prepared[: screening.FOLDS], self.folder / "work")
            most = screening.Limits(
                parse_quantity(limits.cpu), parse_quantity(limits.memory), self.spec.screening.timeout_seconds
            )
            count = min(screening.FOLDS, len(prepared))
            rows = screening.screen(problem, self.folder / "work", count, most, self.progress.screened)
            write_json(path, [asdict(row) for row in rows])
        self.progress.screened(rows)
        good = [row for row in rows if row.state == "Succeeded" and row.score is not None]
        if not good:
            first = next((f"{row.name}: {row.message}" for row in rows), "")
            raise NoCandidateSucceeded(f"cannot screen: none of {len(rows)} candidates succeeded; {first}")
        good.sort(key=lambda row: -(row.score or 0.0) if self.maximize else (row.score or 0.0))
        kept = {row.name for row in good[:keep]}
        return [row.name for row in rows if row.name in kept]

    def _journal(self) -> Journal:
        """The finished trials. Before anything else: what is told from here on would hide how many there were."""
        head = {"format": 1, "dataset": self.request["dataset"]["digest"], "seed": self.spec.seed, "code": code_digest()}
        journal = Journal(self.folder / "trials.jsonl", head)
        told = (self.before or {}).get("trials") or {}
        most = max(sum(told.get(name, 0) for name in ("succeeded", "failed", "earlyStopped")), self.request.get("finished") or 0)
        if len(journal.outcomes) < most:
            raise RestoreUnavailable(
                f"cannot go on with the run: trials.jsonl holds {len(journal.outcomes)} trials of {most} that were finished; "
                "change the seed for a fresh run"
            )
        self.progress.restored(journal.outcomes)
        return journal

    def _cluster(self) -> Any:
        """The Ray that trials run on; None: there is none, they run here."""
        if (ray := self.request.get("ray")) is None:
            return None
        from training import raytune

        return raytune.Cluster(ray["address"], ray.get("token_file"))

    def _runner(self, problem: Problem, prepared: Sequence[folds.Fold]) -> tuning.Runner:
        if (cluster := self._cluster()) is None:
            return tuning.in_process(problem, prepared)
        from training import raytune

        parallel, seconds = self.spec.parallel_trial_count, self.spec.trial_timeout_seconds
        runner = raytune.on_ray(problem, prepared, folder=self.folder / "work" / "tune", parallel=parallel, seconds=seconds)

        def go(desk: tuning.Desk) -> None:
            if not desk.closed:
                with raytune.connected(cluster, self._lost):
                    runner(desk)

        return go

    def _lost(self) -> None:
        """The head is gone, and Ray would wait for ever: leave, and be started again."""
        self._end(
            {
                "error": {
                    "reason": "RayUnreachable",
                    "message": "the head of the Ray cluster is gone; the job goes on when it is back",
                }
            }
        )
        os._exit(AGAIN)

    def _lineage(self, best: Outcome, journal: Journal) -> dict[str, Any]:
        return {
            "experiment": self.request.get("name"),
            "uid": self.request.get("uid"),
            "runId": self.folder.name,
            "trial": best.name,
            "datasetDigest": self.request["dataset"]["digest"],
            "codeDigest": code_digest(),
            "seed": self.spec.seed,
            "versions": versions(),
            "trained": time.time(),
            "search": self._searched(journal),
        }

    def _searched(self, journal: Journal) -> dict[str, Any]:
        """What was tried before this one was chosen: how the candidates did, how many trials ended how, and the best of them."""
        over = [one for one in journal.outcomes if one.state == "Succeeded"]
        over.sort(key=lambda one: one.metrics[self.metric], reverse=self.maximize)
        named = ("name", "estimator", "state", "score", "message")
        return {
            "metric": self.metric,
            "candidates": [{key: asdict(row)[key] for key in named} for row in self.progress.candidates],
            "trials": dict(Counter(one.state for one in journal.outcomes)),
            "best": [
                {"name": one.name, "parameters": one.parameters, "score": one.metrics[self.metric]} for one in over[:TOLD_TRIALS]
            ],
        }


def _types(dataset: dict[str, Any]) -> dict[str, str]:
    """Types that the Dataset's schema gives; the others are inferred as they were when it was profiled."""
    return dict(dataset.get("types") or {})


def _load(cluster: Any) -> None:
    from training import raytune

    with suppress(Exception):  # it will be told when it is needed
        raytune.load(cluster)


def _rows(path: Path) -> list[screening.Row] | None:
    found = read_json(path)
    return None if found is None else [screening.Row(**row) for row in found]
