"""What Prometheus and the operating system see of a deployment."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.asking import LATER, ask, ended, later, row
from tests.support.brokers import tool
from tests.support.serving import Deployment, Model, deployed

HEAVY = ("numpy", "scipy", "sklearn", "onnxruntime", "pandas", "skops", "pyarrow")
FIRST = {"revision": "1"}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, store: Path, species: Model) -> Iterator[Deployment]:
    """A deployment that was asked ten times well, once badly, once to its worker's death, and once to be answered later."""
    with deployed(tmp_path_factory.mktemp("asked"), store, species, rough=0.0, limits={"timeoutSeconds": 60}) as up:
        for _ in range(10):
            assert ask(up, species).status_code == 200
        up.until(lambda: _sum(up, "anneal_serving_predictions_total") == 10)  # workers write once a second, unless killed before
        assert requests.post(f"{up.url}/predict", json={"beak": 1}, timeout=30).status_code == 422
        assert ask(up, species, island="kill").status_code == 500
        assert requests.post(f"{up.url}/predict", json=row(species), headers=LATER, timeout=30).status_code == 202
        ended(up, later(up, row(species)))
        up.until(lambda: _sum(up, "anneal_serving_predictions_total") == 12)
        yield up


def _samples(up: Deployment, name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
    text = requests.get(f"{up.url}/metrics", timeout=30).text
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    }


def _sum(up: Deployment, name: str, **labels: str) -> float:
    return sum(_samples(up, name, **labels).values())


def test_promtool_finds_nothing_wrong(asked: Deployment) -> None:
    """Prometheus' own check of names, types and help."""
    text = requests.get(f"{asked.url}/metrics", timeout=30).content
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_a_file_that_a_process_has_only_just_made_is_passed_over(asked: Deployment) -> None:
    """prometheus_client makes a file, then gives it its size: who asks in between gets all that the others have counted."""
    [folder] = {file.parent for file in asked.folder.rglob("counter_*.db")}
    new = folder / "counter_1.db"
    new.touch()
    try:
        assert _sum(asked, "anneal_serving_requests_total", code="200", endpoint="predict", **FIRST) == 10
    finally:
        new.unlink()


def test_requests_and_latencies_by_revision(asked: Deployment) -> None:
    """Each request is counted by what it was answered; each latency is in a histogram."""
    assert _sum(asked, "anneal_serving_requests_total", code="200", endpoint="predict", **FIRST) == 10
    assert _sum(asked, "anneal_serving_requests_total", code="422", endpoint="predict") == 1
    assert _sum(asked, "anneal_serving_requests_total", code="500", endpoint="predict", **FIRST) == 1
    assert _sum(asked, "anneal_serving_request_seconds_count", endpoint="predict", **FIRST) == 11


def test_predictions_and_inputs_by_revision(asked: Deployment, species: Model) -> None:
    """Labels, categories and the training data's quantiles of what was asked, so that drift can be seen."""
    assert _sum(asked, "anneal_serving_predictions_total", label="Adelie", **FIRST) == 12
    first = row(species)
    assert _sum(asked, "anneal_serving_input_categories_total", column="island", category=first["island"], **FIRST) == 12
    buckets = _samples(asked, "anneal_serving_input_quantile_bucket", column="bill_length_mm", **FIRST)
    assert max(buckets.values()) == 12
    assert _sum(asked, "anneal_serving_model_seconds_count", **FIRST) == 12
    assert _sum(asked, "anneal_serving_message_rows_sum", **FIRST) == 12


def test_dead_letters_are_counted(asked: Deployment) -> None:
    """By revision and reason: an alert can be made of it."""
    assert _sum(asked, "anneal_serving_dead_letters_total", reason="WorkerLost", **FIRST) == 1


def test_the_web_process_never_holds_a_model(asked: Deployment) -> None:
    """It has answered, and none of what predicts, not even numpy, is in its memory; the worker has it."""
    web = psutil.Process(asked.processes["web"].pid)
    for process in (web, *web.children(recursive=True)):
        assert _libraries(process) == set()
    worker = psutil.Process(asked.processes["worker-r1-0"].pid)
    assert "onnxruntime" in set().union(*(_libraries(one) for one in (worker, *worker.children(recursive=True))))


def _libraries(process: psutil.Process) -> set[str]:
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    return {name for name in HEAVY if f"/site-packages/{name}/" in maps or f"/site-packages/{name}.libs/" in maps}
