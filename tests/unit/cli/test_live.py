"""What `anneal up` shows while it trains and when it serves."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from rich.console import Console

from reconciler.cli import progress, served
from reconciler.cli.kinds import Kind
from reconciler.cli.live import draw
from reconciler.cli.verbs.logs import readable
from reconciler.cli.watch import Change, World

EXAMPLE = {"cut": "Very Good", "owner's": "O'Brien\u001b[31m", "carat": 0.7, "color": None, "note": 'a "b", c'}
STAGES = ("Reading", "Features", "Screening", "Tuning", "Refit")


def experiment(stage: str, **status: Any) -> dict[str, Any]:
    """An experiment that is at a stage: those before are done, those after not begun."""
    at = STAGES.index(stage)
    reasons = ["Succeeded"] * at + ["Training"] + ["Pending"] * (len(STAGES) - at - 1)
    return {
        "metadata": {"name": "e", "namespace": "default"},
        "spec": {"maxTrialCount": 24},
        "status": {
            "stage": stage,
            "conditions": [{"type": "Ready", "status": "False", "reason": "Training"}]
            + [{"type": f"{name}Done", "reason": reason} for name, reason in zip(STAGES, reasons, strict=True)],
            **status,
        },
    }


def world(**objects: dict[str, Any]) -> World:
    """The objects by plural."""
    made = World()
    for plural, obj in objects.items():
        made.take(Change("ADDED", kind(plural), obj))
    return made


def kind(plural: str) -> Kind:
    """A kind of anneal."""
    return Kind("anneal.dev", "v1alpha1", plural.title(), plural, plural[:-1])


def said(obj: dict[str, Any], width: int = 120) -> list[str]:
    """The progress as text."""
    return [line.plain for line in progress.lines(obj, "experiment/e", width)]


def test_an_experiment_shows_its_stages_and_candidates() -> None:
    """What is done, what it is at, what is ahead; and while candidates are screened, those and their scores."""
    candidates = [
        {"name": "forest", "state": "Succeeded", "score": "0.98742"},
        {"name": "trees", "state": "Running", "score": None},
    ]
    stages, bar = said(experiment("Screening", candidates=candidates))
    assert stages == "experiment/e  ✓ Reading  ✓ Features  ▸ Screening  · Tuning  · Refit "
    assert bar == "  ━━━━━━━━━━━━────────────  1/2 candidates · forest 0.9874"


def test_an_experiment_shows_its_trials() -> None:
    """How many of how many, what became of them, the best so far; never wider than the terminal."""
    best = {"bestTrialName": "forest-7", "observation": {"metrics": [{"name": "accuracy", "latest": "0.986012"}]}}
    obj = experiment("Tuning", trialsSucceeded=9, trialsEarlyStopped=3, trialsRunning=2, currentOptimalTrial=best)
    assert (
        said(obj)[1] == "  ━━━━━━━━━━━━────────────  12/24 trials · 2 running · 3 stopped early · best accuracy 0.986 (forest-7)"
    )
    assert all(len(line) <= 60 for line in said(obj, 60)[1:])
    assert progress.is_training(obj)
    assert not progress.is_training({"status": {"conditions": [{"type": "Ready", "reason": "Succeeded"}], "stage": "Packaging"}})


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_command_works_when_it_is_pasted(width: int) -> None:
    """However narrow the terminal is: a shell makes of it one curl with the address and one row of JSON."""
    lines = served.command("http://127.0.0.1:8437", json.dumps(EXAMPLE), width)
    script = "curl() { printf '%s\\0' \"$@\"; }\n" + "\n".join(lines)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    *options, body = done.stdout.rstrip("\0").split("\0")
    assert options == ["-s", "http://127.0.0.1:8437/predict", "-H", "Content-Type: application/json", "-d"]
    assert json.loads(body) == EXAMPLE
    assert "\x1b" not in "".join(lines), "a value cannot steer the terminal"


def test_the_picture_ends_with_what_to_try() -> None:
    """A deployment that is Ready: its address, and a row of its model; also after the daemon was stopped."""
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "url": "http://127.0.0.1:8437", "modelVersion": "m"}
    objects = world(
        modelversions={"metadata": {"name": "m", "namespace": "default"}, "status": {"example": json.dumps({"x": 1})}},
        modeldeployments={"metadata": {"name": "d", "namespace": "default"}, "status": ready},
    )
    kinds = {plural: kind(plural) for plural in ("modelversions", "modeldeployments")}
    console = Console(width=100, height=30, record=True)
    with console.capture() as captured:
        console.print(draw(objects, kinds, None, 100, 30))
    text = captured.get()
    assert text.index("modelversion/m") < text.index("modeldeployment/d"), "in the order in which they need each other"
    assert "d is served: open http://127.0.0.1:8437 in a browser" in text
    assert "-d '{\"x\": 1}'" in text


def test_a_jobs_log_is_for_people_on_request_for_machines() -> None:
    """A line of logfmt reads as the daemon's own do; -o json leaves it as it was written."""
    line = 'timestamp=2026-11-22T07:39:40.264573Z level=info event=trial.started trial=forest-7 parameters="{\'C\': \\"a b\\"}"'
    assert readable(line) == '07:39:40 info    trial.started trial=forest-7 parameters="{\'C\': \\"a b\\"}"'
    assert readable(line, plain=True) == line
    assert readable("Traceback: \x1b[31mx") == "Traceback: [31mx"
