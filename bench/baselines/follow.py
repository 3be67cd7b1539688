"""`python -m bench.baselines.follow FILE CLOUD SERVER`: the least that can follow a file.

A bare inotify loop: when FILE was written, read it as YAML and send its `serverMetadata` to the cloud. No API server, no
validation, no record of what was meant; crash, and nobody knows.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

IN_CLOSE_WRITE = 0x8


def main(file: Path, cloud: str, server: str) -> None:
    """Follow until killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    inotify = libc.inotify_init1(0)
    if inotify < 0 or libc.inotify_add_watch(inotify, os.fsencode(file), IN_CLOSE_WRITE) < 0:
        raise OSError(ctypes.get_errno(), f"cannot watch {file}")
    print("ready", flush=True)
    while os.read(inotify, 4096):
        spec = yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]["simulated"]
        body = {"metadata": {pair["key"]: pair["value"] for pair in spec["serverMetadata"]}}
        connection = http.client.HTTPConnection(urlsplit(cloud).netloc)
        connection.request("PATCH", f"/servers/{server}", json.dumps(body), {"Content-Type": "application/json"})
        connection.getresponse().read()
        connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
