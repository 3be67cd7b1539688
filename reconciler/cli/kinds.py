"""What a word on the command line means: `mch`, `machine`, `machines.anneal.dev`, `Machine`, or the category `anneal`.

A few kinds are known by heart, which saves a question to the server; every other word is looked up in its discovery documents.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from reconciler.cli.api import Api
from reconciler.cli.errors import UsageError

GROUP = "anneal.dev"
VERSION = "v1alpha1"


class Kind(NamedTuple):
    """One resource of the API server."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()

    @property
    def qualified(self) -> str:
        """How kubectl prints it: `machines.anneal.dev`, `secrets`."""
        return f"{self.singular}.{self.group}" if self.group else self.singular

    @property
    def api_version(self) -> str:
        """What stands in the object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """URL path of the collection (of all namespaces if `namespace` is None) or of one object."""
        prefix = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{prefix}{where}/{self.plural}" + (f"/{name}" if name else "")

    def answers_to(self, word: str) -> bool:
        """True if a person may call it so."""
        low = word.lower()
        if low in (self.plural, self.singular, self.kind.lower(), *self.short):
            return True
        name, _, group = low.partition(".")
        return name in (self.plural, self.singular) and group in (self.group, f"{self.version}.{self.group}") and bool(group)


def _ours(kind: str, short: str) -> Kind:
    """One of anneal's own kinds: their names follow from the kind."""
    return Kind(GROUP, VERSION, kind, f"{kind.lower()}s", kind.lower(), (short,), True, ("anneal",))


KNOWN = (
    _ours("Machine", "mch"),
    _ours("MachineSet", "mset"),
    _ours("Dataset", "dset"),
    _ours("RayCluster", "rayc"),
    _ours("SwarmCluster", "swc"),
    _ours("Experiment", "exper"),
    _ours("ModelVersion", "mver"),
    _ours("ModelDeployment", "mdep"),
    Kind("", "v1", "Namespace", "namespaces", "namespace", ("ns",), False),
    Kind("", "v1", "ConfigMap", "configmaps", "configmap", ("cm",)),
    Kind("", "v1", "Secret", "secrets", "secret"),
    Kind("", "v1", "Event", "events", "event", ("ev",)),
    Kind("coordination.k8s.io", "v1", "Lease", "leases", "lease"),
)
"""Known without asking. A kind of ours that is missing here works as well; it costs one more request."""


def lookup(api: Api, word: str) -> list[Kind]:
    """The kinds that `word` names: one, or all of a category (`anneal`, `all`). UsageError if there are none."""
    if found := [kind for kind in KNOWN if kind.answers_to(word)]:
        return found[:1]
    if word.lower() in (GROUP, "anneal"):
        return ours(api)
    everything = discover(api)
    if found := [kind for kind in everything if kind.answers_to(word)]:
        return found[:1]
    if word.lower() == "all":
        return [kind for kind in everything if {"anneal", "all"} & set(kind.categories)]
    if found := [kind for kind in everything if word.lower() in kind.categories]:
        return found
    from reconciler.cli.args import did_you_mean

    words = [name for kind in everything for name in (kind.plural, kind.singular, *kind.short)]
    hint = did_you_mean(word.lower(), [*words, "anneal"])
    raise UsageError(
        f'cannot find kind "{word}": the server has none of this name; {hint or "`kubectl api-resources` lists them"}'
    )


def ours(api: Api) -> list[Kind]:
    """All kinds of anneal that the server serves."""
    return _resources(api, f"/apis/{GROUP}/{VERSION}", GROUP, VERSION)


def discover(api: Api) -> list[Kind]:
    """All kinds that can be listed; ours first."""
    found = _resources(api, "/api/v1", "", "v1")
    for group in api.get("/apis").get("groups") or ():
        version = (group.get("preferredVersion") or group["versions"][0])["version"]
        found += _resources(api, f"/apis/{group['name']}/{version}", group["name"], version)
    return sorted(found, key=lambda kind: kind.group != GROUP)


def of_object(api: Api, obj: dict[str, Any]) -> Kind:
    """The kind of an object, by its apiVersion and kind."""
    group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
    wanted = obj.get("kind")
    for kind in KNOWN:
        if (kind.group, kind.version, kind.kind) == (group, version, wanted):
            return kind
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    for kind in _resources(api, path, group, version):
        if kind.kind == wanted:
            return kind
    raise UsageError(
        f'cannot find kind "{wanted}" of {obj.get("apiVersion")}: the server has none; `kubectl api-resources` lists them'
    )


def _resources(api: Api, path: str, group: str, version: str) -> list[Kind]:
    found = (api.find(path) or {}).get("resources") or ()
    return [
        Kind(
            group,
            version,
            entry["kind"],
            entry["name"],
            entry.get("singularName") or entry["kind"].lower(),
            tuple(entry.get("shortNames") or ()),
            bool(entry.get("namespaced")),
            tuple(entry.get("categories") or ()),
        )
        for entry in found
        if "/" not in entry["name"] and "list" in (entry.get("verbs") or ())
    ]
