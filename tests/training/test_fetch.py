"""A table arrives as a file of our own, named by its content: from a folder, a web server, a bucket.

Where a fetch may not go: tests/faults, 16.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bucket import Bucket
from tests.support.web import Names, serving
from training.errors import FetchFailed, Forbidden
from training.fetch import Source, fetch

TABLE = b"a,b\n1,2\n"


def get(uri: str, folder: Path, *, resolver: Any = None, **options: Any) -> Any:
    return fetch(Source(uri=uri, folder=folder, **options), folder / "data", "csv", resolver=resolver)


def test_a_file_is_copied_under_the_name_of_its_content(tmp_path: Path) -> None:
    """A table lies under its digest; fetching it again changes nothing."""
    (tmp_path / "t.csv").write_bytes(TABLE)
    first, second = get("t.csv", tmp_path), get((tmp_path / "t.csv").as_uri(), tmp_path)
    assert first == second
    assert first.path.read_bytes() == TABLE
    assert first.path.name == first.digest.removeprefix("sha256:") + ".csv"
    assert [path.name for path in (tmp_path / "data").iterdir()] == [first.path.name]


def test_what_a_killed_fetch_left_is_tidied_up(tmp_path: Path) -> None:
    """A day later the next fetch removes it; what is younger may be somebody's who is still fetching."""
    (tmp_path / "t.csv").write_bytes(TABLE)
    (tmp_path / "data").mkdir()
    for name, age in (("old", 90_000), ("young", 60)):
        file = tmp_path / "data" / f".fetch-{name}"
        file.touch()
        os.utime(file, times=(file.stat().st_mtime - age,) * 2)
    path = get("t.csv", tmp_path).path
    assert {each.name for each in (tmp_path / "data").iterdir()} == {path.name, ".fetch-young"}


def test_a_data_root_may_be_read(tmp_path: Path) -> None:
    """What the daemon's owner allows is allowed."""
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "t.csv").write_bytes(TABLE)
    (tmp_path / "specs").mkdir()
    assert get(str(tmp_path / "roots" / "t.csv"), tmp_path / "specs", roots=(tmp_path / "roots",)).bytes == len(TABLE)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe does not hang the fetch, a folder and a missing file say so."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(Forbidden, match="no regular file"):
        get("pipe.csv", tmp_path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises((Forbidden, FetchFailed)):
        get("folder.csv", tmp_path)
    with pytest.raises(FetchFailed, match="there is no such file"):
        get("nothing.csv", tmp_path)


def test_a_table_from_an_allowed_host_arrives(tmp_path: Path) -> None:
    """allowedHosts names private hosts that may be fetched from, by name or by address."""
    with serving(t__csv=(200, {}, TABLE)) as server:
        names = Names(tables_lan=["127.0.0.1"])
        found = get(f"http://tables.lan:{server.port}/t.csv", tmp_path, resolver=names, allowed_hosts=("tables.lan",))
        assert found.path.read_bytes() == TABLE
        assert get(f"http://127.0.0.1:{server.port}/t.csv", tmp_path, allowed_hosts=("127.0.0.1",)).digest == found.digest


def test_a_slow_server_is_left(tmp_path: Path) -> None:
    """The whole fetch has a time limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(FetchFailed, match="longer than"):
        get(f"http://127.0.0.1:{silent.getsockname()[1]}/", tmp_path, allowed_hosts=("127.0.0.1",), seconds=0.2)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket with one table; s3fs, botocore and the signature are real."""
    with Bucket("AKIAONE", t__csv=TABLE) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def test_a_table_from_a_bucket_arrives(tmp_path: Path, bucket: Bucket) -> None:
    """s3:// is read with the key and secret of the credentials; the same content is the same file, wherever it came from."""
    found = get("s3://tables/t.csv", tmp_path, secret="AKIAONE:wJalrXUt")
    assert found.path.read_bytes() == TABLE
    (tmp_path / "t.csv").write_bytes(TABLE)
    assert get("t.csv", tmp_path) == found
    assert bucket.refused == 0


def test_a_bucket_is_limited_as_anything_else(tmp_path: Path, bucket: Bucket) -> None:
    """Too large, not there, not permitted: each is said, and no key stands in what is said."""
    with pytest.raises(Forbidden, match="larger than 3 bytes"):
        get("s3://tables/t.csv", tmp_path, secret="AKIAONE:wJalrXUt", max_bytes=3)
    for uri, secret in (("s3://tables/none.csv", "AKIAONE:wJalrXUt"), ("s3://tables/t.csv", "AKIATWO:wJalrXUt")):
        with pytest.raises(FetchFailed, match="check the bucket") as caught:
            get(uri, tmp_path, secret=secret)
        assert "wJalrXUt" not in str(caught.value)
    assert bucket.refused
    assert list((tmp_path / "data").iterdir()) == []
