"""`anneal crds`: the CustomResourceDefinitions, for who wants a Kubernetes of their own as control plane."""

from __future__ import annotations

import os
import sys

from reconciler.cli.args import Parser
from reconciler.cli.errors import OK, CliError


def parser() -> Parser:
    """The flags of `anneal crds`."""
    made = Parser(
        "crds",
        "",
        [
            ("anneal crds | kubectl apply --server-side -f -", "install them"),
            ("anneal up --kubeconfig ~/.kube/config -d specs/", "then use that cluster"),
        ],
    )
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Print all files of specs/crds as one YAML stream."""
    parser().parse(argv)
    import specs

    folder = os.path.join(os.path.dirname(os.path.abspath(specs.__file__)), "crds")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".yaml")) if os.path.isdir(folder) else []
    if not names:
        raise CliError(f"cannot print the definitions: {folder} holds none; install anneal anew")
    for name in names:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
        sys.stdout.write(text if text.startswith("---") else "---\n" + text)
    return OK
