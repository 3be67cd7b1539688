"""The serving image: built and pushed by one command, named by its digest, run by any node, made of what is locked only."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import InvalidConfiguration
from drivers.swarm import image
from drivers.swarm.client import connect
from tests.support.cli import Cli
from tests.support.swarmlab import SwarmLab


def ran(lab: SwarmLab, node: int, reference: str, command: list[str], **more: Any) -> tuple[int, str]:
    """Run a command in an image on a node; its exit code and what it printed."""
    api = lab.api(node, seconds=120)
    name, _, digest = image.split(reference)
    api.pull(f"{name}@{digest}" if digest else reference)
    container = api.create_container(reference, command, **more)["Id"]
    try:
        api.start(container)
        code = api.wait(container)["StatusCode"]
        return code, api.logs(container).decode()
    finally:
        api.remove_container(container, force=True)


def test_any_node_runs_it_by_its_digest(lab: SwarmLab) -> None:
    """A node that never saw it fetches it by digest; it is not root, writes to /tmp only, and has a health check."""
    reference = lab.images["serving"]
    assert re.fullmatch(r".+/serving@sha256:[0-9a-f]{64}", reference)
    look = "import os, serving.web, serving.worker, serving.preflight; print(os.getuid(), os.access('/app', os.W_OK))"
    host = lab.api(3).create_host_config(read_only=True, tmpfs={"/tmp": ""})
    assert ran(lab, 3, reference, ["python", "-c", look], host_config=host) == (0, "10001 False\n")
    config = lab.api(3).inspect_image(reference)["Config"]
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "serving.alive"]
    assert config["User"] == "10001:10001"


def test_every_version_in_it_is_the_locked_one(lab: SwarmLab) -> None:
    """What is installed is what images/serving/requirements.lock names, no more and nothing else."""
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (image.RECIPE / "requirements.lock").read_text(), re.MULTILINE))
    code, text = ran(lab, 2, lab.images["serving"], ["python", "-m", "pip", "list", "--format=json"])
    assert code == 0
    found = {row["name"].lower().replace("_", "-"): row["version"] for row in json.loads(text.splitlines()[0])}
    assert {name: version for name, version in found.items() if name != "pip"} == locked


async def test_a_flipped_hash_fails_the_build(lab: SwarmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One digit of one hash: nothing is built."""
    recipe = tmp_path / "serving"
    shutil.copytree(image.RECIPE, recipe)
    lock = recipe / "requirements.lock"
    first, amqp, rest = lock.read_text().partition("amqp==")
    ours, cut, others = rest.partition("\nannotated-types")
    lock.write_text(first + amqp + re.sub(r"sha256:\w{8}", "sha256:00000000", ours) + cut + others)
    monkeypatch.setattr(image, "RECIPE", recipe)
    docker = connect([lab.endpoint], call_seconds=600)
    with pytest.raises(InvalidConfiguration, match="returned a non-zero code"):
        await docker.write("build it", lambda api: image.build(api, "flipped:1", lab.images["python"]))
    assert not lab.api().images(name="flipped:1")


def test_one_command_builds_pushes_and_names_it(lab: SwarmLab, tmp_path: Path) -> None:
    """`anneal image build` prints the reference by digest, and nothing else, on stdout; another node runs it."""
    host = lab.images["python"].partition("/")[0]
    tag, base = f"{host}/anneal/serving:by-hand", lab.images["python"]
    done = Cli(tmp_path)("image", "build", "--tag", tag, "--base", base, "--host", lab.endpoint, seconds=500)
    assert done.code == 0, done.err[-2000:]
    assert re.fullmatch(rf"{re.escape(host)}/anneal/serving@sha256:[0-9a-f]{{64}}\n", done.out)
    assert ran(lab, 2, done.out.strip(), ["python", "-c", "import serving.web"])[0] == 0


def test_what_is_built_depends_on_the_files_alone() -> None:
    """The same files give the same build context, byte for byte: an engine's cache is of use."""
    assert image.context() == image.context()
    assert image.key() == image.key()
