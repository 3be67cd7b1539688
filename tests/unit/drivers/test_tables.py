"""Local tables: where a URI leads, and that a change of the file is noticed at once, however it is written and reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.contract import Owner, Present
from drivers.local.tables import Table, Tables

OWNER = Owner("installation", "Dataset", "default", "penguins", "uid-1")


async def look(tables: Tables, folder: Path | None, uri: str) -> Table:
    found = await tables.at(str(folder) if folder else None).observe(OWNER, uri, 0.0)
    assert isinstance(found, Present)
    return found.live


def saved(file: Path) -> None:
    file.write_text("a\n2\n")


def replaced(file: Path) -> None:
    file.with_name("fresh").write_text("a\n2\n")
    file.with_name("fresh").replace(file)


def removed(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("uri", ["t.csv", "./t.csv", "../real/t.csv", "link.csv", "folder/t.csv"])
@pytest.mark.parametrize("change", [saved, replaced, removed])
async def test_a_change_is_noticed_at_once(tmp_path: Path, uri: str, change: Callable[[Path], None]) -> None:
    """Saved in place, replaced by another file, or removed; by its name, through dots, a link to it or to its folder."""
    folder = tmp_path / "real"
    folder.mkdir()
    file = folder / "t.csv"
    file.write_text("a\n1\n")
    (folder / "link.csv").symlink_to("t.csv")
    (folder / "folder").symlink_to(folder)
    told = asyncio.Event()
    tables = Tables(lambda uid: told.set() if uid == OWNER.uid else None)
    try:
        before = await look(tables, folder, uri)
        prints = tables.prints()
        assert before.stamp
        assert before.trouble == ""
        async with asyncio.timeout(20):
            while not told.is_set():  # nobody says from when on the kernel watches: what it missed is done again
                file.write_text("a\n1\n")
                change(file)
                with suppress(TimeoutError):
                    await asyncio.wait_for(told.wait(), 0.5)
        assert tables.prints() != prints
        assert (await look(tables, folder, uri)).stamp != before.stamp
    finally:
        await tables.close()


async def test_why_there_is_none(tmp_path: Path) -> None:
    """What is not there is told with the place where it was looked for; a relative URI of an object without a file, too."""
    tables = Tables()
    try:
        missing = await look(tables, tmp_path, "no/t.csv")
        assert (missing.stamp, missing.path) == ("", str(tmp_path / "no" / "t.csv"))
        assert str(tmp_path / "no" / "t.csv") in missing.trouble
        assert "give an absolute one" in (await look(tables, None, "t.csv")).trouble
        (tmp_path / "t.csv").write_text("a\n")
        assert (await look(tables, None, (tmp_path / "t.csv").as_uri())).stamp
    finally:
        await tables.close()
