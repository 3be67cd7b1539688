"""`anneal rebuild`: put the image of Machines onto their disks anew. Writes an annotation, as `kubectl rollout restart` does."""

from __future__ import annotations

import time

from reconciler.cli import terminal
from reconciler.cli.args import Parser
from reconciler.cli.connect import open_api
from reconciler.cli.errors import FAILURE, OK, UsageError
from reconciler.cli.targets import parse, read

ANNOTATION = "anneal.dev/rebuild"
"""`specs.meta.REBUILD_ANNOTATION`, which would take 0.2 s to import."""
MANAGER = "anneal-rebuild"


def parser() -> Parser:
    """The flags of `anneal rebuild`."""
    made = Parser(
        "rebuild",
        "KIND/NAME... [--yes]",
        [
            ("anneal rebuild machine/worker-1", "asks first: what is on its local disk goes"),
            ("anneal rebuild machine/a machine/b --yes", "for scripts"),
            (f"kubectl annotate mch/worker-1 {ANNOTATION}=again", "the same without anneal: any value that it had not before"),
        ],
        more="The server keeps its id, its ports and its addresses. One that boots from a volume is replaced, with that volume.",
    )
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    made.add_argument("-y", "--yes", action="store_true", help="do not ask")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Ask, then annotate each. 1 if the answer is no."""
    args = parser().parse(argv)
    api, namespace = open_api(args)
    machines = []
    for target in parse(api, args.what):
        if target.kind.plural != "machines" or not target.names:
            raise UsageError("cannot rebuild that: only Machines by their names; e.g. `anneal rebuild machine/worker-1`")
        for name in target.names:
            obj = read(api, target.kind, namespace, name)
            if not obj["spec"].get("openstack") or obj["spec"].get("managementPolicy") == "unmanaged":
                raise UsageError(f"cannot rebuild machine/{name}: only what anneal manages on OpenStack can be")
            machines.append((target.kind, obj["metadata"]))
    names = ", ".join(meta["name"] for _, meta in machines)
    if not args.yes and not terminal.agreed(f"What is on the local disk of {names} will be lost. Go on?"):
        return FAILURE
    value = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for kind, meta in machines:
        body = {"metadata": {"annotations": {ANNOTATION: value}}}
        path = kind.path(meta["namespace"], meta["name"])
        api.request("PATCH", path, {"fieldManager": MANAGER}, body=body, content_type="application/merge-patch+json")
        print(f"machine/{meta['name']} will be rebuilt; `anneal get mch/{meta['name']} -w` shows how it goes")
    return OK
