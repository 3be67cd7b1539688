"""The user data of a server: its role's templates, filled in, and what the spec adds. Pure but for reading the templates once.

The templates are YAML files beside this one. They are read as YAML first and filled in leaf by leaf, so no value can break out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

import yaml

from specs.cloud_init import CloudInit
from specs.openstack import OpenStackMachine

TEMPLATES = {"plain": ("plain",), "rayHead": ("plain", "ray"), "rayWorker": ("plain", "ray"), "swarmHost": ("plain", "swarm")}
MERGE = "list(append)+dict(no_replace,recurse_list)+str()"
"""How cloud-init joins the spec's part with the role's: lists one after the other; of two texts the role's."""


class _Dumper(yaml.SafeDumper):
    """Writes scripts as a person would: whoever looks at a server's user data can read them."""


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def user_data(spec: OpenStackMachine) -> str:
    """What the server gets; empty if nothing was asked for. The same spec gives the same bytes."""
    if spec.cloud_init is None:
        return spec.user_data or ""
    config = cloud_config(spec.cloud_init)
    return _with_part(config, spec.user_data) if spec.user_data else config


def cloud_config(given: CloudInit) -> str:
    """The role as a #cloud-config document."""
    words: dict[str, str] = {"role": given.role}
    if ray := given.ray:
        head = f"--head --port={ray.port} --dashboard-host=0.0.0.0"
        address = f"[{ray.head_address}]" if ":" in (ray.head_address or "") else ray.head_address
        words |= {"version": ray.version, "start": head if given.role == "rayHead" else f"--address={address}:{ray.port}"}
    made: dict[str, Any] = {}
    for name in TEMPLATES[given.role]:
        for key, value in _filled(_template(name), words).items():
            made[key] = made[key] + value if key in made else value
    made["packages"] = list(dict.fromkeys([*made["packages"], *given.packages]))
    return "#cloud-config\n" + yaml.dump(made, Dumper=_Dumper, sort_keys=False, width=200)


@cache
def _template(name: str) -> Mapping[str, Any]:
    text = (files(__package__) / f"{name}.yaml").read_text("utf-8")
    found: Mapping[str, Any] = yaml.safe_load(text)
    return found


def _filled(node: Any, words: Mapping[str, str]) -> Any:
    match node:
        case str():
            return Template(node).substitute(words)
        case list():
            return [_filled(each, words) for each in node]
        case dict():
            return {key: _filled(value, words) for key, value in node.items()}
    return node


def _with_part(config: str, text: str) -> str:
    """Both as one archive of MIME, in the form that cloud-init takes apart; it tells by the first line what the second is."""
    boundary = "=" * 10 + hashlib.sha256((config + text).encode()).hexdigest()[:32]  # another one each time were another server
    archive = MIMEMultipart(boundary=boundary)
    first, second = MIMEText(config, "cloud-config"), MIMEText(text, "plain")
    first.add_header("Content-Disposition", "attachment", filename="role.yaml")
    second.add_header("Content-Disposition", "attachment", filename="spec")
    second["Merge-Type"] = MERGE
    archive.attach(first)
    archive.attach(second)
    return archive.as_string()
