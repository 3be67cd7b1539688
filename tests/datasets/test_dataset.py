"""A Dataset through the real daemon: followed, pinned, checked, fetched again; one daemon for all of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.support.cli import Cli
from tests.support.web import serving

TABLE = "id,kind,size\n1,a,1.5\n2,b,2.5\n3,a,\n"
MORE = TABLE + "4,b,9.5\n"


@dataclass
class Place:
    """A folder of specs and tables that a daemon follows."""

    cli: Cli
    folder: Path

    def save(self, name: str, **spec: Any) -> None:
        """Write the spec of a Dataset: followed by itself."""
        body = {"apiVersion": "anneal.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": name}, "spec": spec}
        (self.folder / f"{name}.yaml").write_text(json.dumps(body))

    def until(self, name: str, reason: str, true: Callable[[dict[str, Any]], Any] = bool) -> dict[str, Any]:
        """The Dataset's status once Ready says `reason` of the spec as it is now, and `true` holds."""
        end, found = time.monotonic() + 60, {}
        while time.monotonic() < end:
            got = self.cli("get", "dset", name, "-o", "json")
            found = got.json if got.code == 0 else {}
            row = condition(found, "Ready")
            current = row.get("observedGeneration") == found.get("metadata", {}).get("generation", 0)
            if current and row.get("reason") == reason and true(found["status"]):
                return dict(found["status"])
            time.sleep(0.1)
        raise AssertionError(f"{name} never was {reason}: {json.dumps(found.get('status'), indent=1)}")


def condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    """One condition; empty if there is none."""
    rows = (found.get("status") or found).get("conditions") or []
    return next((dict(row) for row in rows if row["type"] == kind), {})


def digest(text: str) -> str:
    """What a table of this content is known by."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An empty folder, followed."""
    root = tmp_path_factory.mktemp("datasets")
    (root / "specs").mkdir()
    (root / "roots").mkdir()
    cli = Cli(root / "home", {"ANNEAL_POLL_SECONDS": "1", "ANNEAL_DATA_ROOTS": str(root / "roots")})
    up = cli("up", "-d", str(root / "specs"))
    assert up.code == 0, up.err
    yield Place(cli, root / "specs")
    assert cli("down").code == 0


def test_what_a_table_holds_stands_in_its_status(at: Place) -> None:
    """Rows, bytes, digest; of each column type, share of missing values, different values and range. Parquet as CSV."""
    (at.folder / "found.csv").write_text(TABLE)
    at.save("found", uri="found.csv", target="kind")
    status = at.until("found", "Valid")
    assert (status["digest"], status["rows"], status["bytes"]) == (digest(TABLE), 3, len(TABLE))
    assert Path(status["path"]).read_text() == TABLE
    id_, kind, size = status["columns"]
    assert (id_["type"], kind["type"], size["type"]) == ("integer", "string", "number")
    assert (size["minimum"], size["maximum"], size["missing"]) == ("1.5", "2.5", pytest.approx(1 / 3, abs=1e-5))
    assert kind["unique"] == 2
    pa.parquet.write_table(pa.table({"id": [1, 2], "size": [1.5, None]}), at.folder / "found.parquet")
    at.save("parquet", uri="found.parquet")
    assert [column["type"] for column in at.until("parquet", "Valid")["columns"]] == ["integer", "number"]


def test_a_table_that_breaks_is_told_and_the_one_before_stays(at: Place) -> None:
    """Saved wrongly, the conditions name column and rows and the old digest stays on record; saved rightly, it is the new one."""
    fields = [{"name": "size", "type": "number", "constraints": {"minimum": 0}}]
    (at.folder / "followed.csv").write_text(TABLE)
    at.save("followed", uri="followed.csv", target="kind", schema={"fields": fields})
    at.until("followed", "Valid")
    (at.folder / "followed.csv").write_text(MORE.replace("9.5", "-1"))
    broken = at.until("followed", "ChecksFailed")
    valid = condition(broken, "Valid")
    assert (valid["status"], valid["message"]) == ("False", "column size: 1 value(s) are below the minimum, 0 (row 4)")
    assert condition(broken, "Ready")["status"] == "False"
    (at.folder / "followed.csv").write_bytes("id,kind,size\n1,é,2\n".encode("latin-1"))
    unreadable = at.until("followed", "ChecksFailed", lambda it: "UTF-8" in condition(it, "Valid")["message"])
    assert "column 'kind', row 1 is no UTF-8" in condition(unreadable, "Valid")["message"]
    (at.folder / "followed.csv").write_text(MORE)
    assert at.until("followed", "Valid", lambda it: it["rows"] == 4)["digest"] == digest(MORE)


def test_a_file_that_goes_away_is_missed_and_used_again(at: Place) -> None:
    """Removed, and put back: the same digest, with no command given."""
    file = at.folder / "gone.csv"
    at.save("gone", uri="gone.csv")
    assert "there is no such file" in condition(at.until("gone", "FetchFailed"), "Ready")["message"]
    file.write_text(TABLE)
    assert at.until("gone", "Valid")["digest"] == digest(TABLE)


def test_a_pinned_table_is_that_table(at: Place) -> None:
    """Another content is refused with both digests; what was pinned stays in use, and the right content is taken again."""
    file = at.folder / "pinned.csv"
    file.write_text(TABLE)
    at.save("pinned", uri="pinned.csv", digest=digest(TABLE))
    before = at.until("pinned", "Valid")
    file.write_text(MORE)
    refused = at.until("pinned", "DigestMismatch")
    message = condition(refused, "Ready")["message"]
    assert digest(MORE) in message
    assert digest(TABLE) in message
    assert refused["digest"] == before["digest"]
    assert Path(refused["path"]).read_text() == TABLE
    at.save("pinned", uri="pinned.csv", digest=digest(MORE))
    assert at.until("pinned", "Valid")["rows"] == 4


def test_a_web_address_is_fetched_again_and_again(at: Place) -> None:
    """Every refreshIntervalSeconds; what changed there is a new digest. A server that fails then takes nothing away."""
    pages = {"/t.csv": (200, {}, TABLE.encode())}
    with serving(t__csv=pages["/t.csv"]) as server:
        spec = {"uri": f"http://127.0.0.1:{server.port}/t.csv", "allowedHosts": ["127.0.0.1"], "refreshIntervalSeconds": 10}
        at.save("web", **spec)
        assert at.until("web", "Valid")["digest"] == digest(TABLE)
        server.pages["/t.csv"] = (200, {}, MORE.encode())
        assert at.until("web", "Valid", lambda it: it["digest"] == digest(MORE))["rows"] == 4
        server.pages["/t.csv"] = (500, {}, b"secret")
        at.save("web", **spec, target="kind")  # it is looked at anew at once
        kept = at.until("web", "FetchFailed")
        assert kept["digest"] == digest(MORE)
        assert "the server answered 500" in condition(kept, "Ready")["message"]


def test_a_token_reaches_its_server_and_nothing_else(at: Place) -> None:
    """credentialsRef names where it is; it is sent with the fetch, and stands in no log, no status, no process's arguments."""
    token = at.folder.parent / "token"
    token.write_text("s3cr3t-of-the-table\n")
    token.chmod(0o600)
    with serving(t__csv=(200, {}, TABLE.encode())) as server:
        spec = {"uri": f"http://127.0.0.1:{server.port}/t.csv", "allowedHosts": ["127.0.0.1"]}
        at.save("token", **spec, credentialsRef={"file": str(token)})
        at.until("token", "Valid")
        assert [headers["Authorization"] for _, headers in server.requests] == ["Bearer s3cr3t-of-the-table"]
    files = [path for path in at.cli.home.rglob("*") if path.is_file() and b"s3cr3t-of-the-table" in path.read_bytes()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert {path.name for path in files} <= {"secret"}


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("metadata", "http://169.254.169.254/latest/meta-data/"),
        ("loopback", "http://[::ffff:127.0.0.1]:9/t.csv"),
        ("dots", "../home/kubeconfig"),
        ("absolute", "file:///etc/passwd"),
    ],
)
def test_fault_16_a_spec_does_not_reach_inside(at: Place, name: str, uri: str) -> None:
    """What its author may not read is not read for them: Forbidden, and nothing of it stands anywhere."""
    at.save(name, uri=uri)
    status = at.until(name, "Forbidden")
    assert status.get("digest") is None
    assert condition(status, "Available")["status"] == "False"
    assert "root:" not in json.dumps(status)


def test_a_data_root_is_the_daemons_affair(at: Place) -> None:
    """A folder that the daemon's owner named may be read by an absolute path."""
    file = at.folder.parent / "roots" / "t.csv"
    file.write_text(TABLE)
    at.save("roots", uri=str(file))
    assert at.until("roots", "Valid")["rows"] == 3
