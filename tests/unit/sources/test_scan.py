"""Reading a folder: everything that is there, nothing that is not, and never silence for absence."""

import os
import socket
import time
from pathlib import Path

import pytest

from reconciler.sources.scan import Unreadable, scan

MACHINE = "apiVersion: anneal.dev/v1alpha1\nkind: Machine\nmetadata: {name: %s}\nspec: {local: {}}\n"


def look(root, known=None, busy=None, mounts=None):
    return scan(root, "s-1", known or {}, busy or {}, mounts or {})


def names(found):
    return sorted(want.key.name for file in found.files.values() for want in file.documents)


def write(path, *machines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("---\n".join(MACHINE % name for name in machines))
    return path


def test_spec_files_and_nothing_else(tmp_path):
    """yaml, yml and json, in subfolders too; hidden files, backups and other files are passed over."""
    for name in ("a.yaml", "b.YML", "sub/deeper/c.yaml"):
        write(tmp_path / name, Path(name).stem)
    (tmp_path / "d.json").write_text(
        '{"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": {"name": "d"}, "spec": {"local": {}}}'
    )
    for name in (".hidden.yaml", "e.yaml~", ".f.yaml.swp", "#g.yaml#", "README.md", ".git/h.yaml", "i.yaml.tmp"):
        write(tmp_path / name, "x")
    assert names(look(tmp_path)) == ["a", "b", "c", "d"]


def test_a_configmap_volume(tmp_path):
    """Kubernetes swaps ..data, a link to a hidden folder: the files seen through it are the new ones."""
    write(tmp_path / "..1" / "a.yaml", "old")
    write(tmp_path / "..2" / "a.yaml", "new")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    before = look(tmp_path)
    assert names(before) == ["old"]
    (tmp_path / "..tmp").symlink_to("..2")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    assert names(look(tmp_path, before.files)) == ["new"]


def test_links_in_circles_end(tmp_path):
    """A folder that links to itself is read once."""
    write(tmp_path / "sub" / "a.yaml", "a")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert names(look(tmp_path)) == ["a"]


def test_only_what_changed_is_parsed_again(tmp_path):
    """Touching a file does not make its objects new; changing it does."""
    path = write(tmp_path / "a.yaml", "a")
    write(tmp_path / "b.yaml", "b")
    first = look(tmp_path)
    path.touch()
    second = look(tmp_path, first.files)
    assert second.files["a.yaml"].documents is first.files["a.yaml"].documents
    write(path, "a", "c")
    assert names(look(tmp_path, second.files)) == ["a", "b", "c"]


def test_two_quick_edits_of_the_same_size(tmp_path):
    """A second edit within the clock's tick, of the same length, is not overlooked."""
    path = write(tmp_path / "a.yaml", "a")
    first = look(tmp_path)
    before = path.stat()
    write(path, "b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert names(look(tmp_path, first.files)) == ["b"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"kind: [Machine", id="not yaml"),
        pytest.param(b"\xff\xfe\x00bad", id="not text"),
        pytest.param((MACHINE % "good").encode() + b"---\nkind: Machine\n", id="one document of two"),
        pytest.param(b"#" * (5 * 1024 * 1024), id="too long"),
    ],
)
def test_a_file_is_right_or_it_is_reported(tmp_path, text):
    """A file with one error holds nothing and says where; the others are read."""
    (tmp_path / "bad.yaml").write_bytes(text)
    write(tmp_path / "fine.yaml", "fine")
    found = look(tmp_path)
    assert names(found) == ["fine"]
    assert [problem.file for problem in found.files["bad.yaml"].problems][:1] == ["bad.yaml"]


def test_names_that_are_not_utf8(tmp_path):
    """A file of any name can be told of."""
    with open(os.fsencode(tmp_path) + b"/\xff.yaml", "wb") as file:
        file.write((MACHINE % "a").encode())
    assert list(look(tmp_path).files) == ["\\xff.yaml"]


def a_dangling_link(root):
    (root / "x.yaml").symlink_to("nowhere")


def a_pipe(root):
    os.mkfifo(root / "x.yaml")


def a_socket(root):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "x.yaml"))


def test_a_folder_may_be_called_like_a_file(tmp_path):
    """Its name does not make it one; what is in it counts."""
    write(tmp_path / "x.yaml" / "b.yaml", "b")
    assert names(look(tmp_path)) == ["b"]


@pytest.mark.parametrize("make", [a_dangling_link, a_pipe, a_socket])
def test_what_cannot_be_read_is_said_to_be_there(tmp_path, monkeypatch, make):
    """A link to nothing, a pipe, a socket: reported, never waited for, never left out."""
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    make(Path())
    write(tmp_path / "a.yaml", "a")
    found = look(tmp_path)
    assert (names(found), list(found.unreadable)) == (["a"], ["x.yaml"])


def test_an_io_error_on_one_file(tmp_path, monkeypatch):
    """EIO, ESTALE, EACCES on one file: that file is unreadable, with the system's own words."""
    write(tmp_path / "a.yaml", "a")
    write(tmp_path / "bad.yaml", "b")
    opened = os.open

    def failing(path, *args, **options):
        if str(path).endswith("bad.yaml"):
            raise OSError(116, "Stale file handle")
        return opened(path, *args, **options)

    monkeypatch.setattr(os, "open", failing)
    found = look(tmp_path)
    assert names(found) == ["a"]
    assert found.unreadable == {"bad.yaml": "stale file handle"}


@pytest.mark.parametrize("code", [5, 13, 116, 2], ids=["EIO", "EACCES", "ESTALE", "ENOENT"])
def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch, code):
    """It is unreadable as a whole, not empty."""

    def failing(path):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(Unreadable, match=os.strerror(code).lower()):
        look(tmp_path)


@pytest.mark.parametrize("folder", [".", "data"])
def test_an_unmounted_folder_is_not_an_empty_one(tmp_path, folder):
    """Empty, and on another device than before: something is not mounted."""
    (tmp_path / "data").mkdir()
    with pytest.raises(Unreadable, match="mounted"):
        look(tmp_path, mounts={".": tmp_path.stat().st_dev, folder: 999_999})
    write(tmp_path / "data" / "a.yaml", "a")
    assert names(look(tmp_path, mounts={folder: 999_999})) == ["a"]


def test_an_emptied_folder_is_empty(tmp_path):
    """On the same device as ever, no files means no objects."""
    assert look(tmp_path, mounts={".": tmp_path.stat().st_dev}).files == {}


def test_a_file_that_is_being_written_is_waited_for(tmp_path):
    """While somebody has it open for writing, what it held before counts; not for ever."""
    path = write(tmp_path / "a.yaml", "a")
    first = look(tmp_path)
    with path.open("w") as writer:
        writer.write(MACHINE % "half")
        writer.flush()
        found = look(tmp_path, first.files)
        assert (names(found), found.busy) == (["a"], {"a.yaml"})
        found = look(tmp_path, first.files, busy={"a.yaml": time.monotonic() - 5})
        assert names(found) == ["half"]
    assert names(look(tmp_path, first.files)) == ["half"]
