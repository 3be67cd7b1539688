"""The store: packages by digest, whole or not at all, and never other than they were written."""

from __future__ import annotations

import os
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelstore import Corrupt, ModelError, NotFound, Store, load, manifest
from tests.support.bucket import Bucket

UNKNOWN = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def bucket():
    """The URL of a bucket on a server that speaks S3; s3fs and botocore are real, and made once."""
    with Bucket("AKIAONE") as made, pytest.MonkeyPatch.context() as patch:
        keys = {"AWS_ACCESS_KEY_ID": "AKIAONE", "AWS_SECRET_ACCESS_KEY": "secret"}
        for name, value in (made.environment | keys).items():
            patch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        yield "s3://models"
        fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(params=["folder", "file url", "memory", "bucket"])
def store(request, tmp_path, bucket):
    """A store in a folder, by path and by URL, and two that are elsewhere: in fsspec's memory, and in a bucket."""
    if request.param in ("memory", "bucket"):
        place = "memory:/" if request.param == "memory" else bucket
        return Store(f"{place}/{uuid.uuid4().hex}/models", cache=tmp_path / "cache")
    return Store(tmp_path / "store" if request.param == "folder" else f"file://{tmp_path}/store")


def damage(store: Store, digest: str, name: str, change) -> None:
    """Change a file where the store itself keeps it."""
    if store.url.startswith(("memory://", "s3://")):
        fs, root = fsspec.core.url_to_fs(store.url)
        path = f"{root}/{manifest.hex_of(digest)}/{name}"
        data = change(fs.cat_file(path))
        fs.rm_file(path) if data is None else fs.pipe_file(path, data)
        return
    path = Path(store.url.removeprefix("file://")) / manifest.hex_of(digest) / name
    data = change(path.read_bytes())
    path.unlink() if data is None else path.write_bytes(data)


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_what_is_put_is_found_by_its_digest(store, packaged):
    """Put, list, path, verify, load: the same package; what is not there is NotFound."""
    assert store.list() == []
    digest = store.put(packaged)
    assert store.list() == [digest]
    store.verify(digest)
    folder = store.path(digest)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in packaged.iterdir()
    }
    assert load(folder, expect=digest).check_golden() == (20, [])
    for look in (store.path, store.verify):
        with pytest.raises(NotFound, match=UNKNOWN):
            look(UNKNOWN)


def test_putting_again_changes_nothing(store, packaged, tmp_path):
    """Once stored, a package stays as it was first written: metadata that was written later does not replace it."""
    digest = store.put(packaged)
    copy = tmp_path / "copy"
    shutil.copytree(packaged, copy)
    (copy / manifest.METADATA).write_bytes(manifest.canonical_json({"created": "later"}))
    assert manifest.write(copy) == digest
    assert store.put(copy) == digest
    assert load(store.path(digest)).metadata["metrics"] == {"accuracy": 0.9}


def test_removed_is_gone(store, packaged):
    """Removing is final, and may be done again."""
    digest = store.put(packaged)
    store.remove(digest)
    store.remove(digest)
    assert store.list() == []
    with pytest.raises(NotFound):
        store.verify(digest)


@pytest.mark.parametrize("name", manifest.FILES)
def test_one_flipped_bit_is_found(store, packaged, name):
    """Whichever file decays, verify names it."""
    digest = store.put(packaged)
    damage(store, digest, name, flip)
    with pytest.raises(Corrupt, match=name) as caught:
        store.verify(digest)
    assert caught.value.file == name


@pytest.mark.parametrize("name", manifest.FILES)
def test_a_missing_file_is_found(store, packaged, name):
    digest = store.put(packaged)
    damage(store, digest, name, lambda data: None)
    with pytest.raises(Corrupt, match=f"{name}: it is missing"):
        store.verify(digest)


@pytest.mark.parametrize("url", ["folder"])
def test_a_damaged_package_is_mended_by_putting_it_again(url, packaged, tmp_path):
    """Whoever has the package can restore it: nothing else has to be removed first."""
    store = Store(tmp_path / "store")
    digest = store.put(packaged)
    damage(store, digest, manifest.ONNX, flip)
    assert store.put(packaged) == digest
    store.verify(digest)
    assert sorted(os.listdir(tmp_path / "store")) == [manifest.hex_of(digest)]


def test_a_damaged_copy_of_a_remote_package_is_fetched_again(packaged, tmp_path):
    """What was fetched is checked each time it is asked for."""
    store = Store(f"memory://{uuid.uuid4().hex}", cache=tmp_path)
    folder = store.path(store.put(packaged))
    (folder / manifest.ONNX).write_bytes(b"damaged")
    assert load(store.path(store.list()[0])).check_golden() == (20, [])


def test_a_package_that_is_not_as_its_manifest_says_is_not_stored(store, packaged, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(packaged, copy)
    (copy / manifest.SKOPS).write_bytes(b"other")
    with pytest.raises(Corrupt, match=manifest.SKOPS):
        store.put(copy)
    assert store.list() == []


def test_many_put_the_same_at_once(packaged, tmp_path):
    """Any number of writers: one package, nothing left over."""
    stores = [Store(tmp_path / "store") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda store: store.put(packaged), stores))
    (digest,) = digests
    stores[0].verify(digest)
    assert os.listdir(tmp_path / "store") == [manifest.hex_of(digest)]


def test_who_comes_second_leaves_the_first_alone(packaged, tmp_path, monkeypatch):
    """Two look and find nothing, both move their copy there: the first is never taken away from its readers."""
    first, second = Store(tmp_path / "store"), Store(tmp_path / "store")
    copyfile, seen = shutil.copyfile, []

    def meanwhile(source, target):
        if not seen:
            seen.append(first)
            digest = first.put(packaged)
            seen.append((tmp_path / "store" / manifest.hex_of(digest)).stat().st_ino)
        copyfile(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", meanwhile)
        digest = second.put(packaged)
    assert (tmp_path / "store" / manifest.hex_of(digest)).stat().st_ino == seen[1]
    assert os.listdir(tmp_path / "store") == [manifest.hex_of(digest)]


def test_many_mend_the_same_at_once(packaged, tmp_path):
    """A damaged package and any number of menders: whole in the end, and nobody fails."""
    stores = [Store(tmp_path / "store") for _ in range(8)]
    digest = stores[0].put(packaged)
    (tmp_path / "store" / manifest.hex_of(digest) / manifest.SKOPS).write_bytes(b"damaged")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda store: store.put(packaged), stores)) == {digest}
    stores[0].verify(digest)
    assert os.listdir(tmp_path / "store") == [manifest.hex_of(digest)]


@pytest.mark.parametrize("half", range(6))
def test_a_writer_that_dies_leaves_nothing_that_is_found(half, packaged, tmp_path, monkeypatch):
    """Killed at any file, the store holds no half package, and the next writer succeeds."""
    store = Store(tmp_path)
    copied = []

    def copyfile(source, target):
        if len(copied) == half:
            raise KeyboardInterrupt
        copied.append(source)
        Path(target).write_bytes(Path(source).read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", copyfile)
        patch.setattr(shutil, "rmtree", lambda *a, **k: None)  # a killed process tidies nothing up
        with pytest.raises(KeyboardInterrupt):
            store.put(packaged)
    assert store.list() == []
    store.verify(store.put(packaged))


def test_what_a_crash_left_is_tidied_up(packaged, tmp_path):
    """A day later the next writer removes it; what is younger may be somebody's who is still writing."""
    store = Store(tmp_path)
    for name in (".put-old", ".put-young"):
        (tmp_path / name).mkdir()
        (tmp_path / name / manifest.SKOPS).write_bytes(b"half")
    os.utime(tmp_path / ".put-old", (0, 0))
    digest = store.put(packaged)
    assert sorted(os.listdir(tmp_path)) == [".put-young", manifest.hex_of(digest)]


@pytest.mark.parametrize("digest", ["", "abc", "sha256:" + "0" * 63, "sha256:" + "G" * 64, "../" * 3, "sha256:../" + "0" * 61])
def test_only_digests_are_looked_up(digest, tmp_path):
    """No path is made of what is no digest."""
    for look in (Store(tmp_path).path, Store(tmp_path).verify, Store(tmp_path).remove):
        with pytest.raises(ValueError, match="sha256: and 64 hex digits"):
            look(digest)


def test_an_unknown_kind_of_store_is_said_so():
    with pytest.raises(ModelError, match="cannot use teleport://x as a store"):
        Store("teleport://x")


def test_links_and_strangers_are_no_part_of_a_package(packaged, tmp_path):
    """A symbolic link is not followed, and a file that the manifest does not know is not overlooked."""
    copy = tmp_path / "copy"
    shutil.copytree(packaged, copy)
    (copy / "extra.py").write_text("")
    with pytest.raises(Corrupt, match=r"extra\.py: it is not in the manifest"):
        manifest.verify(copy)
    (copy / "extra.py").unlink()
    (copy / manifest.GOLDEN).rename(tmp_path / "elsewhere")
    (copy / manifest.GOLDEN).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Corrupt, match=r"golden\.json: it is a symbolic link"):
        manifest.verify(copy)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_flipped_byte_goes_unnoticed(packaged, tmp_path_factory, data):
    """One byte of one file, the manifest among them, is changed: the package is not loaded."""
    name = data.draw(st.sampled_from([*manifest.FILES, manifest.MANIFEST]))
    original = (packaged / name).read_bytes()
    at, bit = data.draw(st.integers(0, len(original) - 1)), data.draw(st.integers(0, 7))
    folder = tmp_path_factory.mktemp("flipped")
    for path in packaged.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / name).write_bytes(original[:at] + bytes([original[at] ^ (1 << bit)]) + original[at + 1 :])
    with pytest.raises(Corrupt):
        load(folder, expect=manifest.read(packaged)[0])
    shutil.rmtree(folder)
