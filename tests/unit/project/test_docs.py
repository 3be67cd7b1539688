"""The documents keep up with the code: runbooks, dependencies, links."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from specs.meta import Reason

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SECTIONS = ["## What it means", "## What anneal does by itself", "## What you can do", "## See more"]


def test_every_reason_has_a_runbook_and_every_runbook_a_reason() -> None:
    """The set of pages is exactly the closed list of reasons."""
    assert {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")} == {str(reason) for reason in Reason}


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_a_runbook_says_what_it_must(reason: Reason) -> None:
    """What it means, what happens by itself, what you can do, where to see more; each with something to say."""
    text = (ROOT / f"docs/runbooks/{reason}.md").read_text("utf-8")
    assert text.startswith(f"# {reason}\n")
    assert re.findall(r"^## .*$", text, re.MULTILINE) == SECTIONS
    assert all(len(part.strip()) > 20 for part in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a document names a file that is there."""
    text = re.sub(r"`[^`]*`", "", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_dependency_is_explained() -> None:
    """docs/dependencies.md has a line for each direct dependency, and for nothing else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [name for group in project["optional-dependencies"].values() for name in group]
    declared = {re.split(r"[<>=!~ \[;]", name, maxsplit=1)[0] for name in [*project["dependencies"], *extras]}
    rows = re.findall(r"^\| ([a-z][^|]*) \|", (ROOT / "docs/dependencies.md").read_text("utf-8"), re.MULTILINE)
    explained = {name.strip() for row in rows for name in row.split(",")} - {"library"}
    assert explained == declared


def test_every_decision_is_listed() -> None:
    """The index of decisions names each page once, in order, and no page is longer than a page."""
    folder = ROOT / "docs/decisions"
    pages = sorted(page.name for page in folder.glob("0*.md"))
    assert re.findall(r"\((0[^)]*\.md)\)", (folder / "README.md").read_text("utf-8")) == pages
    assert all(len((folder / page).read_text("utf-8").splitlines()) < 60 for page in pages)


def test_the_lock_holds_every_direct_dependency() -> None:
    """What pyproject.toml asks for is in requirements.lock with hashes, so `make setup` installs exactly that."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = set(re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE))
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        assert re.split(r"[<>=!~ \[;]", requirement, maxsplit=1)[0].lower() in locked
    entries = re.split(r"^(?=[A-Za-z0-9._-]+==)", lock, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
