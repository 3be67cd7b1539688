"""The plainest program that makes so many servers: openstacksdk, 16 threads, one list a second until all are ACTIVE.

`python -m bench.baselines.servers CLOUDS_YAML COUNT` prints the seconds, without those of starting and logging in.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openstack
import yaml

THREADS = 16


def main(clouds: str, count: int) -> float:
    """Make them, each with a port of its own; returns when all are ACTIVE."""
    entry = yaml.safe_load(Path(clouds).read_text())["clouds"]["mini"]
    sdk: Any = openstack.connect(load_yaml_config=False, load_envvars=False, **entry)
    flavor, image = sdk.compute.find_flavor("m1.tiny").id, sdk.image.find_image("cirros").id
    network = sdk.network.find_network("private").id

    def make(number: int) -> None:
        port = sdk.network.create_port(network_id=network, name=f"bare-{number}")
        sdk.compute.create_server(name=f"bare-{number}", flavor_id=flavor, image_id=image, networks=[{"port": port.id}])

    begun = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(make, range(count)))
    while [server.status for server in sdk.compute.servers(details=True)].count("ACTIVE") < count:
        time.sleep(1.0)
    return time.monotonic() - begun


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2])))
