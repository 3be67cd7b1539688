"""What the README says, done: from an empty folder to a prediction by browser and by curl. Its commands are read from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.e2e.conftest import ROOT, Newcomer, newcomer
from tests.support.cli import ANNEAL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SPECIES = {"Adelie", "Chinstrap", "Gentoo"}


def commands(heading: str) -> str:
    """The commands of the first block under a heading of the README."""
    part = (ROOT / "README.md").read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    block = re.search(r"((?:^    .*\n)+)", part, re.MULTILINE)
    assert block, heading
    return re.sub(r"^    ", "", block[1], flags=re.MULTILINE)


def shell(there: Newcomer, script: str) -> str:
    """Run lines as a person would type them; any that fails, fails."""
    path = f"{ANNEAL.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=there.folder, env=there.cli.environment() | {"PATH": path},
        capture_output=True, text=True, timeout=420, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{there.cli('get', 'anneal').out}"
    return done.stdout


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """The quickstart, served: by the very commands of the README."""
    with newcomer(tmp_path_factory.mktemp("quickstart")) as one:
        one.example("quickstart")
        one.said = shell(one, commands("In a script"))  # type: ignore[attr-defined]
        yield one


def test_a_script_gets_a_prediction(there: Newcomer) -> None:
    """`anneal up -d`, `anneal wait`, `anneal get -o jsonpath`, curl: the last line is a prediction, in the target's own words."""
    answer = json.loads(there.said.splitlines()[-1])  # type: ignore[attr-defined]
    assert answer["predictions"][0]["prediction"] in SPECIES
    assert sum(answer["predictions"][0]["probabilities"].values()) == pytest.approx(1)
    assert answer["model"]["revision"] == 1


def test_the_table_at_the_end_is_the_one_of_the_design(there: Newcomer) -> None:
    """`anneal get anneal` shows five objects, all ready: what was found, what was tried, what serves."""
    lines = there.cli("get", "anneal").lines[1:]
    rows = {line.split()[0].split("/")[0]: line for line in lines}
    assert [line.split()[1] for line in lines] == ["True"] * 5
    assert "344 rows, 8 columns, sha256:" in rows["dataset"]
    assert "24/24 trials" in rows["experiment"]
    assert "skops + onnx" in rows["modelversion"]
    assert re.search(r"http://127\.0\.0\.1:\d+, revision 1, 2/2 workers", rows["modeldeployment"])


def test_the_terminal_ends_with_an_address_and_a_line_to_paste(there: Newcomer) -> None:
    """`anneal up DIR` on a terminal shows the page's address and a curl line; pasted into a shell, it predicts."""
    seen = there.cli.terminal("up", str(there.folder / "examples" / "quickstart"), size=(100, 40))
    try:
        seen.until("/predict", 60)
        seen.until("}'", 20)
    finally:
        seen.write("\x03")
        seen.end(30)
    text = seen.plain.replace("\r\n", "\n")
    assert there.get("mdep", "penguins")["status"]["url"] in text
    line = re.findall(r"curl .*?\}'", text, re.DOTALL)[-1]
    assert json.loads(shell(there, line))["predictions"][0]["prediction"] in SPECIES


def test_the_page_predicts(there: Newcomer, browser: webdriver.Chrome) -> None:
    """The page is open in a browser, an example is filled in, one click predicts: one of the three species is the answer."""
    browser.get(there.get("mdep", "penguins")["status"]["url"])
    fields = {each.get_attribute("name") for each in browser.find_elements(By.CSS_SELECTOR, "form input, form select")}
    assert {"island", "bill_length_mm", "body_mass_g", "sex"} <= fields
    browser.find_element(By.XPATH, "//button[normalize-space()='Predict']").click()
    assert browser.find_element(By.ID, "answer").text in SPECIES


def test_the_same_table_and_seed_are_the_same_model(there: Newcomer, tmp_path: Path) -> None:
    """Another Experiment of the same spec, on a table of the same content by another name, makes the model of the same digest."""
    folder = there.folder / "examples" / "again"
    folder.mkdir()
    (folder / "copy.csv").write_bytes((there.folder / "examples/quickstart/data/penguins.csv").read_bytes())
    documents = (there.folder / "examples/quickstart/penguins.yaml").read_text().split("\n---\n")
    kept = [part for part in documents if "kind: Dataset" in part or "kind: Experiment" in part]
    text = "\n---\n".join(kept).replace("name: penguins}", "name: again}").replace("data/penguins.csv", "copy.csv")
    (folder / "again.yaml").write_text(text.replace("clusterRef: {name: again}", "clusterRef: {name: penguins}"))
    there.up(folder)
    first, second = (there.get("exper", name)["status"]["model"]["digest"] for name in ("penguins", "again"))
    assert first == second
