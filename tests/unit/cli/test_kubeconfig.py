"""Kubeconfig files, plain and otherwise."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import kubeconfig
from reconciler.cli.errors import CliError, UnreachableError
from reconciler.cli.plain_yaml import read_plain
from reconciler.home import Home

PLAIN = """\
apiVersion: v1
kind: Config
clusters:
- name: anneal
  cluster:
    server: https://127.0.0.1:4444
    certificate-authority-data: Q0E=
users:
- name: anneal
  user: {token: t-0}
contexts:
- name: anneal
  context: {cluster: anneal, user: anneal, namespace: lab}
current-context: anneal
"""
NAMES = st.text(alphabet="abcXYZ019-._/:=+ #'\"{}[]&*!|>%@`,?~", min_size=1, max_size=12)


def test_the_file_of_our_own_server_is_read_without_pyyaml() -> None:
    """The quick reader understands the file as it is written, and reads the same as PyYAML."""
    text = PLAIN.replace("{token: t-0}", "\n    token: t-0").replace(
        "{cluster: anneal, user: anneal, namespace: lab}", "\n    cluster: anneal\n    user: anneal\n    namespace: lab"
    )
    assert read_plain(text) == yaml.safe_load(text)
    assert read_plain(PLAIN) is None  # flow mappings are left to PyYAML
    assert kubeconfig.choose(kubeconfig.parse(text), "x") == kubeconfig.choose(kubeconfig.parse(PLAIN), "x")


@given(
    st.recursive(
        st.one_of(NAMES, st.booleans()),
        lambda inner: (
            st.dictionaries(NAMES, inner, min_size=1, max_size=3)
            | st.lists(st.dictionaries(NAMES, inner, min_size=1, max_size=2), min_size=1, max_size=2)
        ),
        max_leaves=8,
    )
)
def test_the_quick_reader_agrees_with_pyyaml_or_says_nothing(value: object) -> None:
    """For any block YAML, it returns exactly what PyYAML returns, or None; never something else."""
    text = yaml.safe_dump({"top": value}, default_flow_style=False)
    assert read_plain(text) in (None, {"top": value})


@given(st.text(alphabet="ab: -\n#'\"{}[]|>&*~01tru.", max_size=60))
def test_the_quick_reader_agrees_with_pyyaml_on_any_text(text: str) -> None:
    """The same for texts that nobody would write."""
    if (found := read_plain(text)) is not None:
        assert (yaml.safe_load(text) or {}) == found


@pytest.mark.parametrize("as_json", [False, True], ids=["yaml", "json"])
def test_a_context_is_read_with_its_files(tmp_path: Path, as_json: bool) -> None:
    """CA, client certificate, key and token may stand in files beside the kubeconfig, by relative path."""
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "me.pem").write_text("CERT")
    data = {
        "clusters": [{"name": "c", "cluster": {"server": "https://h:1/", "certificate-authority": "ca.pem"}}],
        "users": [
            {
                "name": "u",
                "user": {
                    "tokenFile": "token",
                    "client-certificate": "me.pem",
                    "client-key-data": base64.b64encode(b"K").decode(),
                },
            }
        ],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file = tmp_path / "config"
    file.write_text(json.dumps(data) if as_json else yaml.safe_dump(data))
    found = kubeconfig.load(str(file))
    assert found == kubeconfig.Access("https://h:1", "default", "CA", False, None, "secret", b"CERT", b"K")


@pytest.mark.parametrize(
    ("text", "says"),
    [("[1, 2]", "not a mapping"), ("a: [", "not YAML"), ("{}", "names no server"),
     (PLAIN.replace("Q0E=", "'%%%a'"), "not base64"), (PLAIN.replace("token: t-0", "exec: {command: x}"), "not supported")],
    ids=["list", "broken", "empty", "base64", "exec"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, says: str) -> None:
    """Never a traceback: the file, the cause, and what to do."""
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(CliError, match=says):
        kubeconfig.load(str(file))


def test_a_home_without_kubeconfig_means_that_no_daemon_runs(tmp_path: Path) -> None:
    """Exit code 4 and how to start one."""
    with pytest.raises(UnreachableError, match="anneal up"):
        kubeconfig.load(home=str(tmp_path))


def test_the_home_is_the_same_for_command_line_and_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read $ANNEAL_HOME alike, else ~/.anneal."""
    for value in (str(tmp_path), "~/x", "relative", ""):
        monkeypatch.setenv("ANNEAL_HOME", value)
        assert Path(kubeconfig.home_folder()) == Home.from_env().root


def test_the_daemon_answers_where_its_own_context_says(tmp_path: Path) -> None:
    """With a Kubernetes as control plane, the home's kubeconfig has a second context for the daemon's own answers."""
    data = yaml.safe_load(PLAIN)
    (tmp_path / "kubeconfig").write_text(PLAIN)
    assert kubeconfig.load_daemon(home=str(tmp_path)).server == "https://127.0.0.1:4444"
    data["clusters"].append({"name": "own", "cluster": {"server": "https://127.0.0.1:5555"}})
    data["contexts"].append({"name": kubeconfig.DAEMON_CONTEXT, "context": {"cluster": "own", "user": "anneal"}})
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(data))
    (tmp_path / "k8s").write_text(PLAIN)
    assert kubeconfig.load(home=str(tmp_path)).server == "https://127.0.0.1:4444"
    for path in (None, str(tmp_path / "k8s")):
        assert kubeconfig.load_daemon(path, home=str(tmp_path)).server == "https://127.0.0.1:5555"
    assert kubeconfig.load_daemon(str(tmp_path / "k8s"), home=str(tmp_path / "none")).server == "https://127.0.0.1:4444"
