"""`anneal image build`: the serving image, built by a Docker Engine, pushed, and printed by its digest."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import Any
from urllib.parse import quote

from reconciler.cli.args import Parser
from reconciler.cli.connect import open_api
from reconciler.cli.errors import OK, CliError

CLUSTERS = "/apis/anneal.dev/v1alpha1/namespaces/{namespace}/swarmclusters/{name}"


def parser() -> Parser:
    """The flags of `anneal image`."""
    made = Parser(
        "image",
        "build [flags]",
        [
            ("anneal image build --cluster production", "with that SwarmCluster's engine, into its registry"),
            ("anneal image build --tag registry.example:5000/anneal:1", "with the engine of this machine, into that registry"),
            ("anneal image build --cluster production --base mirror.example/python:3.11-slim", "on another base"),
        ],
        more="What it prints goes into spec.swarm.image of a ModelDeployment. The model is not in the image.",
    )
    made.add_argument("verb", choices=["build"], metavar="build")
    made.add_argument("--cluster", metavar="NAME", help="the SwarmCluster whose engine and registry are used")
    made.add_argument("--tag", help="HOST:PORT/NAME:TAG; without it the registry of --cluster, and a tag made of the content")
    made.add_argument("--base", help="the image to build upon (default python:3.11-slim)")
    made.add_argument("--host", help="the engine that builds: unix://, tcp://, ssh:// (default: --cluster's, else $DOCKER_HOST)")
    made.add_argument("--no-push", action="store_true", help="build only, and print the tag")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Build in a process of its own, whose words go to stderr; print the reference."""
    args = parser().parse(argv)
    cluster = _cluster(args) if args.cluster else {}
    status, tls = cluster.get("status") or {}, (cluster.get("spec") or {}).get("tls")
    registry, endpoints = status.get("registry"), status.get("endpoints") or []
    tag = args.tag or (f"{registry}/anneal/serving:{_made('key')}" if registry else "")
    if not tag:
        where = f'SwarmCluster "{args.cluster}" has no registry' if args.cluster else "neither --tag nor --cluster is given"
        raise CliError(f"cannot tell where the image goes: {where}; give --tag HOST:PORT/NAME:TAG")
    host = args.host or (endpoints[0] if endpoints else os.environ.get("DOCKER_HOST"))
    words = ["build", "--tag", tag]
    words += ["--base", args.base] if args.base else []
    words += ["--host", host] if host else []
    words += ["--no-push"] if args.no_push else []
    if endpoints and not args.host and tls:
        words += ["--tlscacert", tls["caFile"], "--tlscert", tls["certFile"], "--tlskey", tls["keyFile"]]
    sys.stdout.write(f"{_made(*words)}\n")
    return OK


def _cluster(args: argparse.Namespace) -> dict[str, Any]:
    api, namespace = open_api(args)
    found = api.find(CLUSTERS.format(namespace=quote(namespace), name=quote(args.cluster, safe="")))
    if found is None:
        raise CliError(f'cannot build for SwarmCluster "{args.cluster}": there is none in namespace "{namespace}"')
    return found


def _made(*words: str) -> str:
    """What the builder prints; it has told on stderr what went wrong."""
    command = [sys.executable, "-m", "drivers.swarm.image", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CliError("cannot build the image: see above")
    return done.stdout.strip()
