"""Fault 32: an id that was never given is not pending for ever."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import requests

from serving.config import load
from serving.records import connect
from tests.support.asking import ended, later, row
from tests.support.serving import Deployment, Model, deployed

UNKNOWN = {
    "one of our form": "A" * 22,
    "a short one": "1",
    "a long one": "x" * 5000,
    "a path": "%2e%2e%2fconfig.json",
    "a null byte": "%00",
    "a quote": "'%20OR%201=1--",
}


@pytest.mark.parametrize("name", UNKNOWN.values(), ids=UNKNOWN)
def test_an_id_that_was_never_given_is_404(up: Deployment, name: str) -> None:
    """Whatever it looks like; neither pending nor an error of this side."""
    for path in (f"/requests/{name}", f"/requests/{name}/results.csv"):
        answer = requests.get(up.url + path, timeout=30)
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_ids_cannot_be_guessed(up: Deployment, species: Model) -> None:
    """128 bits each, nothing in common: neither a time nor a number."""
    ids = [later(up, row(species)).rsplit("/", 1)[1] for _ in range(20)]
    assert len(set(ids)) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", one) for one in ids)
    assert all(len({one[i] for one in ids}) > 4 for i in range(21)), "some place is the same in most of them"


def test_an_expired_result_is_410_with_how_it_ended(tmp_path: Path, store: Path, species: Model) -> None:
    """For as long as ids are remembered; then the id is unknown."""
    with deployed(tmp_path, store, species) as up:
        where, records = later(up, row(species)), connect(load(up.config))
        ended(up, where)
        records.expire(time.time() + 7200, 3600)
        gone = requests.get(where, timeout=30)
        assert (gone.status_code, gone.json()["state"]) == (410, "SUCCEEDED")
        assert requests.get(f"{where}/results.csv", timeout=30).status_code == 410
        records.expire(time.time() + 3600 * 30, 3600)
        assert requests.get(where, timeout=30).status_code == 404
