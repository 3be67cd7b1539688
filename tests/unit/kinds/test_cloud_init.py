"""The user data that a server gets for its role: what cloud-init takes, and nothing that anybody may not see."""

from __future__ import annotations

import email
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from reconciler.kinds.openstack.cloud_init import MERGE, user_data
from specs.openstack import OpenStackMachine
from tests.unit.kinds.openstack_cloud import LEAST, wish

SCHEMA = json.loads((Path(__file__).parents[2] / "data/cloud-config.schema.json").read_text())
RAY = {"version": "2.60.0"}
ROLES: dict[str, dict[str, Any]] = {
    "plain": {},
    "rayHead": {"role": "rayHead", "ray": RAY},
    "rayWorker": {"role": "rayWorker", "ray": {**RAY, "headAddress": "10.0.0.4", "port": 7000}},
    "swarmHost": {"role": "swarmHost"},
}
MOST = 65_535
"""Bytes of user data, in base64, that Nova takes."""


def data(**fields: Any) -> str:
    return user_data(OpenStackMachine.model_validate(LEAST | fields))


def config(**fields: Any) -> dict[str, Any]:
    text = data(**fields)
    assert text.startswith("#cloud-config\n")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_a_valid_cloud_config(role):
    """By cloud-init's own schema, with no key that it does not know and no word left to fill in; the console tells its end."""
    found = config(cloudInit=ROLES[role] | {"packages": ["htop"]})
    jsonschema.validate(found, SCHEMA, jsonschema.Draft4Validator)
    known = {key for part in SCHEMA["$defs"].values() for key in part.get("properties", {})}
    assert found.keys() <= known
    assert "$" not in json.dumps(found).replace("$UPTIME", "")
    assert "htop" in found["packages"]
    assert f"first boot as {role} is over" in found["final_message"]


@pytest.mark.parametrize("broken", [{"packages": 5}, {"write_files": [{"content": "x"}]}, {"runcmd": [{"a": 1}]}])
def test_the_schema_would_tell(broken):
    """It refuses what cloud-init would not take: else the test before this one would prove nothing."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config(cloudInit={}) | broken, SCHEMA, jsonschema.Draft4Validator)


def unit(found: dict[str, Any], name: str) -> str:
    return next(row["content"] for row in found["write_files"] if row["path"].endswith(name))


def test_a_head_and_its_workers_find_each_other():
    """The same version and port on both sides; Ray asks for a token, and does not start before it is there."""
    head = config(cloudInit={"role": "rayHead", "ray": {**RAY, "port": 7000}})
    worker = config(cloudInit=ROLES["rayWorker"])
    assert "ray start --head --port=7000" in unit(head, "anneal-ray.service")
    assert "ray start --address=10.0.0.4:7000" in unit(worker, "anneal-ray.service")
    for found in (head, worker):
        assert ["/opt/anneal/ray/bin/pip", "install", "--no-input", "ray[default]==2.60.0"] in found["runcmd"]
        assert "RAY_AUTH_MODE=token" in unit(found, "anneal-ray.service")
        assert "PathExists=/etc/anneal/ray-token" in unit(found, "anneal-ray.path")
    six = config(cloudInit={"role": "rayWorker", "ray": {**RAY, "headAddress": "fd00::4"}})
    assert "--address=[fd00::4]:6379" in unit(six, "anneal-ray.service")


def test_without_a_role_it_is_what_the_spec_says():
    """Byte for byte, or nothing."""
    assert data(userData="#!/bin/sh\necho $HOME ${x}\n") == "#!/bin/sh\necho $HOME ${x}\n"
    assert data() == ""


@pytest.mark.parametrize("mine", ["#cloud-config\npackages: [vim]\n", "#!/bin/sh\necho ä\n"])
def test_what_the_spec_adds_is_a_part_of_its_own(mine):
    """An archive of two parts: the role's, and the spec's as it is, with the word that lists are joined and nothing is lost."""
    archive = email.message_from_string(data(cloudInit=ROLES["rayHead"], userData=mine))
    first, second = archive.get_payload()
    assert first.get_content_type() == "text/cloud-config"
    jsonschema.validate(yaml.safe_load(first.get_payload(decode=True)), SCHEMA, jsonschema.Draft4Validator)
    assert second.get_payload(decode=True).decode() == mine
    assert second["Merge-Type"] == MERGE


def test_the_longest_that_the_spec_allows_fits_into_a_create():
    """A refusal by Nova would come late, and in its words."""
    packages = [f"{'p' * 96}{number:04}" for number in range(64)]
    want = wish(cloudInit=ROLES["rayWorker"] | {"packages": packages}, userData="#" + "x" * 39_999)
    assert len(want.server({})["user_data"]) <= MOST


def test_the_same_spec_is_the_same_server():
    """Twice the same bytes; another role, package or part is another server; none of it is, as before, the server as before."""
    again = [data(cloudInit=ROLES["rayHead"], userData="#!/bin/sh\n") for _ in range(2)]
    assert again[0] == again[1]
    made = [wish(), wish(cloudInit={}), wish(cloudInit=ROLES["swarmHost"]), wish(cloudInit={"packages": ["vim"]})]
    assert len({want.made_from for want in made}) == len(made)
