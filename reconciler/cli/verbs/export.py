"""`anneal export openstack`: the servers that exist on a cloud, as Machines that are only looked at."""

from __future__ import annotations

from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon, open_daemon
from reconciler.cli.errors import OK
from reconciler.cli.identity import add_flags, identities
from reconciler.cli.output import to_yaml


def parser() -> Parser:
    """The flags of `anneal export`."""
    made = Parser(
        "export",
        "openstack [--clouds-file FILE --cloud CLOUD]",
        [("anneal export openstack --clouds-file clouds.yaml --cloud lab > servers.yaml", "applied, it changes nothing")],
        more="Each server becomes a Machine with managementPolicy: unmanaged: anneal shows it and never changes it.",
    )
    made.add_argument("provider", choices=("openstack",), help="openstack")
    add_flags(made)
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Print YAML."""
    args = parser().parse(argv)
    api, namespace = open_daemon(args), args.namespace or "default"
    documents = []
    for identity in identities(args):
        documents += ask_daemon(api, "POST", "/export", body={"identityRef": identity, "namespace": namespace})["items"]
    print("---\n".join(to_yaml(document) for document in documents), end="")
    return OK
