"""Folders: ports that are theirs, and others where a stranger took them."""

from __future__ import annotations

import socket
from pathlib import Path

from drivers.contract import Intent, Owner, Present, Step
from drivers.local.folders import FolderDriver

OWNER = Owner("installation-1", "RayCluster", "default", "a", "11111111-2222-3333-4444-555555555555")
PORTS = {"ports": {"gcs": 1, "worker": 8}, "firstPort": 21_000}


async def test_a_port_that_somebody_listens_on_is_told_and_can_be_replaced(tmp_path: Path) -> None:
    """What is taken is seen by name; after the change nobody listens on any of its ports, and it keeps what else it had."""
    driver = FolderDriver(tmp_path / "ray", "ray")
    intent = Intent(OWNER, "folder", "a-folder")
    ref = await driver.apply(Step("create", "folder", "none", PORTS | {"generates": ["token"]}), intent)
    before = await driver.observe(OWNER, ref, 0.0, "folder")
    assert isinstance(before, Present)
    assert before.live.taken == frozenset()
    token = (tmp_path / "ray" / ref / "token").read_text()
    with socket.create_server(("127.0.0.1", before.live.ports["gcs"])):
        seen = await driver.observe(OWNER, ref, 0.0, "folder")
        assert isinstance(seen, Present)
        assert seen.live.taken == {"gcs"}
        await driver.apply(Step("update", "folder", "taken", PORTS, ref=ref), intent)
        after = await driver.observe(OWNER, ref, 0.0, "folder")
    assert isinstance(after, Present)
    assert after.live.taken == frozenset()
    assert not set(after.live.ports.values()) & set(before.live.ports.values())
    assert (tmp_path / "ray" / ref / "token").read_text() == token
    await driver.close()
