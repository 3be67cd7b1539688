"""What the examples say is right."""

from pathlib import Path

import pytest

from specs.loading import load

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").rglob("*.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_an_example_is_right(file: Path) -> None:
    """Every file under examples/ loads without a word."""
    loaded = load(file.read_text("utf-8"), name=file.name)
    assert not loaded.errors
    assert loaded.documents
