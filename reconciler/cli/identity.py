"""Which account of which cloud a verb is about: by flags, or, where there is only one, by what the Machines name."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from reconciler.cli.args import Parser
from reconciler.cli.connect import open_api
from reconciler.cli.errors import UsageError

Identity = dict[str, Any]


def add_flags(parser: Parser) -> None:
    """--clouds-file, --secret, --cloud, --region."""
    parser.add_argument("--clouds-file", metavar="FILE", help="a clouds.yaml on the daemon's machine")
    parser.add_argument("--secret", metavar="NAME", help="a Secret that holds a clouds.yaml")
    parser.add_argument(
        "--cloud", metavar="CLOUD", default=os.environ.get("OS_CLOUD"), help="the entry of it (default: $OS_CLOUD)"
    )
    parser.add_argument("--region", metavar="REGION", help="the region, where the entry names none")


def identities(args: argparse.Namespace) -> list[Identity]:
    """The identityRef of the flags, or those of all Machines of the namespace; UsageError if there is none."""
    region = {"region": args.region} if args.region else {}
    if args.clouds_file or args.secret:
        if bool(args.clouds_file) == bool(args.secret) or not args.cloud:
            raise UsageError("cannot tell which cloud: give --cloud, and one of --clouds-file and --secret")
        where = {"file": str(Path(args.clouds_file).absolute())} if args.clouds_file else {"name": args.secret}
        return [{**where, "cloudName": args.cloud, **region}]
    api, namespace = open_api(args)
    items = api.get(f"/apis/anneal.dev/v1alpha1/namespaces/{namespace}/machines")["items"]
    found: list[Identity] = []
    for item in items:
        identity = (item["spec"].get("openstack") or {}).get("identityRef")
        if identity and identity not in found and args.cloud in (None, identity["cloudName"]):
            found.append(identity)
    if not found:
        raise UsageError("cannot tell which cloud: no Machine names one; give --clouds-file FILE --cloud CLOUD")
    return found
