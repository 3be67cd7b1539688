"""The web pages as a person uses them: real Chromium, a real deployment."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from sklearn.linear_model import LogisticRegression

from tests.support import serving
from tests.support.browser import Browser, browser
from tests.support.serving import Deployment, Model, deployed

BROKEN = 'expected a number, got "broad"'


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """A browser as most people have it."""
    with browser() as made:
        yield made


@pytest.fixture(scope="module")
def plain() -> Iterator[Browser]:
    """One that runs no script."""
    with browser(script=False) as made:
        yield made


@pytest.fixture(scope="module")
def estimate(tmp_path_factory: pytest.TempPathFactory, store: Path, price: Model) -> Iterator[Deployment]:
    """A deployment of a regression."""
    with deployed(tmp_path_factory.mktemp("estimate"), store, price) as running:
        yield running


@pytest.fixture
def someone(request: pytest.FixtureRequest) -> Browser:
    """A wide screen, or a phone on which no script runs."""
    phone = request.param == "a phone, no script"
    made: Browser = request.getfixturevalue("plain" if phone else "window")
    made.look(width=390 if phone else 1280)
    return made


def table(model: Model, **wrong: str) -> str:
    """The held-out rows as CSV, with a column too many; `wrong` replaces values of the second row."""
    rows = pd.DataFrame(model.held_out, dtype=object)
    for name, value in wrong.items():
        rows.loc[1, name] = value
    return rows.assign(remark="x").to_csv(index=False, na_rep="NA")


def upload(window: Browser, up: Deployment, file: Path, text: str) -> None:
    """Send a CSV with the form."""
    file.write_text(text)
    window.get(up.url)
    window.one("#table").send_keys(str(file))
    window.button("Upload and predict")


def probabilities(window: Browser) -> dict[str, str]:
    """The bars of a result."""
    return dict(zip(window.texts(".bars .name"), window.texts(".bars .value"), strict=True))


@pytest.mark.parametrize("someone", ["a wide screen", "a phone, no script"], indirect=True)
def test_a_row_is_predicted_changed_and_found_again(someone: Browser, up: Deployment, species: Model) -> None:
    """The form asks for what the model takes and has a typical row in it; the answer is the pipeline's, with its probabilities;
    it can be changed and asked again, and is found again among the recent requests. By keyboard alone, and without a script."""
    someone.get(up.url)
    fields = {name: someone.one(f"[name='{name}']") for name in species.held_out}
    row = {name: field.get_attribute("value") for name, field in fields.items()}
    assert fields["bill_length_mm"].get_attribute("type") == "number"
    assert {one.text for one in fields["sex"].find_elements(By.TAG_NAME, "option")} == {"not known", "female", "male"}
    assert all(row.values())
    assert "in the training data" in someone.one(f"[id='{fields['year'].get_attribute('aria-describedby')}']").text

    with someone.leaving():
        fields["year"].send_keys(Keys.TAB, Keys.ENTER)  # the button comes after the last field
    kinds = {"island": str, "sex": str}
    given = pd.DataFrame([{name: kinds.get(name, float)(value) for name, value in row.items()}])
    label = species.pipeline.predict(given)[0]
    shares = dict(zip(species.pipeline.classes_, species.pipeline.predict_proba(given)[0], strict=True))
    assert someone.one("h1").text == label
    assert probabilities(someone) == {one: f"{share * 100:.1f}\u202f%" for one, share in shares.items()}
    assert someone.sideways == 0
    first = someone.path

    someone.follow("Change something")
    changed = someone.one("[name='bill_length_mm']")
    assert changed.get_attribute("value") == row["bill_length_mm"]
    changed.clear()
    with someone.leaving():
        changed.send_keys("199", Keys.ENTER)
    assert "outside of what the training data held" in someone.one("[role=note]").text

    someone.get(f"{up.url}/requests")
    assert first in [str(one.get_attribute("href")).removeprefix(up.url) for one in someone.all(".list a")][1:2]
    assert label in someone.texts(".list strong")[1]
    assert requests.get(f"{up.url}{first}", timeout=10, headers={"Accept": "text/html"}).ok, "the address is enough: no cookie"


@pytest.mark.parametrize("someone", ["a wide screen", "a phone, no script"], indirect=True)
def test_a_wrong_value_comes_back_at_its_field(someone: Browser, up: Deployment) -> None:
    """What does not fit is named at its field and listed above with a link to it; everything typed is still there."""
    someone.get(up.url)
    someone.ask(
        "for (const one of document.querySelectorAll('input[type=number]')) one.type = 'text'"
    )  # a browser that lets it through
    for name, text in (("bill_length_mm", "broad"), ("bill_depth_mm", "17.25")):
        someone.one(f"[name={name}]").clear()
        someone.one(f"[name={name}]").send_keys(text)
    someone.button("Predict")

    assert someone.driver.title.startswith("Error: ")
    wrong = someone.one("[aria-invalid=true]")
    assert (wrong.get_attribute("name"), wrong.get_attribute("value")) == ("bill_length_mm", "broad")
    described = [someone.one(f"[id='{one}']").text for one in str(wrong.get_attribute("aria-describedby")).split()]
    assert described[0] == BROKEN
    assert someone.one("[name=bill_depth_mm]").get_attribute("value") == "17.25"
    assert len(someone.all("[aria-invalid=true]")) == 1
    assert someone.texts("[role=alert] li") == [f"Bill length (mm): {BROKEN}"]
    assert someone.driver.switch_to.active_element == someone.one("[role=alert]")
    someone.one("[role=alert] a").click()
    assert someone.driver.current_url.endswith(f"#{wrong.get_attribute('id')}")


def test_a_table_is_predicted_and_downloaded(window: Browser, up: Deployment, species: Model, tmp_path: Path) -> None:
    """An uploaded CSV is answered as the pipeline does it, NA being a missing value; what is bad is named by row and column."""
    window.look()
    upload(window, up, tmp_path / "rows.csv", table(species))
    wanted = species.pipeline.predict(pd.DataFrame(species.held_out)).tolist()
    assert window.one("h1").text == f"{len(wanted)} rows predicted"
    link = window.one("a[href$='results.csv']").get_attribute("href")
    assert link is not None
    rows = list(csv.DictReader(io.StringIO(requests.get(link, timeout=10).text)))
    assert [row["predicted_species"] for row in rows] == wanted
    assert [row["sex"] for row in rows] == [value or "" for value in species.held_out["sex"]]
    assert window.texts("tbody td:first-child") == wanted[:10]

    upload(window, up, tmp_path / "bad.csv", table(species, bill_length_mm="broad", body_mass_g="much"))
    assert window.texts("[role=alert] li") == [
        f"row 2, bill_length_mm: {BROKEN}",
        'row 2, body_mass_g: expected a number, got "much"',
    ]


def test_who_waits_sees_the_answer_come(window: Browser, plain: Browser, store: Path, species: Model, tmp_path: Path) -> None:
    """While no worker answers, the page says that it waits; the answer appears by itself, with a script and without one."""
    with deployed(tmp_path / "slow", store, species, workers=0, limits={"timeoutSeconds": 0.2}) as up:
        for one in (window, plain):
            one.look()
            upload(one, up, tmp_path / "rows.csv", table(species))
            assert one.one("[role=status]").text.startswith(f"{len(species.held_out['sex'])} rows are waiting")
        assert window.barriers() == []
        up.worker(1, species.digest)
        for one in (window, plain):
            one.until(lambda it: it.all("a[href$='results.csv']"))


def test_every_error_is_a_page(window: Browser, store: Path, species: Model, tmp_path: Path) -> None:
    """Unknown, too large, too many, no longer kept, not served: a person reads what happened and has a way on."""
    limits = {"timeoutSeconds": 0.2, "maxBytes": 4096, "maxJobs": 1, "resultTtlSeconds": 1}
    with deployed(tmp_path / "strict", store, species, workers=0, limits=limits) as up:
        window.look()
        window.get(f"{up.url}/requests/{'x' * 22}")
        assert (window.one("h1").text, window.one(".kicker").text) == ("Not found", "Status 404")
        upload(window, up, tmp_path / "large.csv", table(species) * 20)
        assert (window.one("h1").text, window.one(".kicker").text) == ("Too large", "Status 413")
        window.get(up.url)
        window.button("Predict")
        asked = window.driver.current_url
        window.get(up.url)
        window.button("Predict")
        assert (window.one("h1").text, window.one(".kicker").text) == ("Too busy", "Status 429")
        up.worker(1, species.digest)
        up.until(lambda: requests.get(asked, timeout=5).status_code == 410)
        window.get(asked)
        assert (window.one("h1").text, window.one(".kicker").text) == ("No longer kept", "Status 410")
        up.route()
        up.until(lambda: requests.get(up.url, timeout=5).status_code == 503)
        window.get(up.url)
        assert (window.one("h1").text, window.one(".kicker").text) == ("Not available now", "Status 503")
        assert window.barriers() == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["wide and light", "a phone, dark"])
def test_everybody_can_use_every_page(
    window: Browser, up: Deployment, estimate: Deployment, species: Model, tmp_path: Path, width: int, dark: bool
) -> None:
    """axe-core finds nothing on any page; no page is wider than its window, at 200 % (640 px) and on the smallest phone neither;
    everything comes from the app itself, and the console stays empty."""
    window.look(width=width, dark=dark)
    window.complaints()

    def fine(where: str) -> None:
        assert window.barriers() == [], where
        loaded = window.ask("return performance.getEntriesByType('resource').map(one => one.name)")
        assert [one for one in loaded if not one.startswith((up.url, estimate.url))] == [], where
        for narrow in (640, 320):
            window.look(width=narrow, dark=dark)
            assert window.sideways == 0, f"{where} at {narrow}"
        window.look(width=width, dark=dark)
        assert window.sideways == 0, where
        assert window.one("html").get_attribute("lang") == "en"

    for deployment, paths in ((up, ("/", "/model", "/docs", "/requests")), (estimate, ("/model",))):
        for path in paths:
            window.get(deployment.url + path)
            fine(path)
        window.get(deployment.url)
        window.button("Predict")
        assert window.path.startswith("/requests/")
        fine("a result")
    upload(window, up, tmp_path / "rows.csv", table(species))
    fine("a table")
    assert window.complaints() == []
    upload(window, up, tmp_path / "bad.csv", table(species, bill_length_mm="broad"))
    fine("a table that does not fit")


def test_the_page_of_the_model_tells_what_it_is(window: Browser, up: Deployment, estimate: Deployment, species: Model) -> None:
    """Metrics on rows that it had not seen, importances, errors, training data, features, trials, lineage."""
    window.look()
    window.get(f"{up.url}/model")
    text = window.one("main").text
    held_out = len(species.held_out["sex"])
    assert f"{held_out} rows that it had not seen" in text
    cells = [int(one) for one in window.texts(".matrix td")]
    right = sum(cells[:: len(species.pipeline.classes_) + 1])
    assert sum(cells) == held_out
    assert (
        dict(zip(window.texts(".figures dt"), window.texts(".figures dd"), strict=True))["Accuracy"]
        == f"{right / held_out * 100:.1f}\u202f%"
    )
    assert sorted(window.texts(".bars .name"))[0] == "Bill depth (mm)"
    assert {"island", "bill_length_mm"} <= set(window.texts("[aria-label='Inputs in the training data'] th"))
    assert f"{len(species.held_out)} features were made of the inputs, {len(species.held_out) - 1} kept." in text
    assert "3 trials, 1 of them stopped early" in text
    assert window.texts("[aria-label='Best trials'] td") == ["C 74.66", "99.6\u202f%"]
    assert species.digest in text
    assert "scikit-learn" in text
    window.get(f"{estimate.url}/model")
    assert len(window.all(".plot .dot")) == 300
    window.get(estimate.url)
    window.button("Predict")
    assert "±" in window.one("h1").text


def test_what_people_wrote_is_text(window: Browser, store: Path, tmp_path: Path) -> None:
    """Markup in class labels, column names and values is shown as it was written, and never run."""
    markup, name = "<script>alert(1)</script>", 'a"><img src=x onerror=alert(2)>'
    columns = {name: [float(i) for i in range(60)], "kind": ["</option><b>x", "plain"] * 30}
    model = serving.train(store, columns, [markup if i < 30 else "&lt;b&gt;" for i in range(60)], LogisticRegression())
    with deployed(tmp_path / "markup", store, model) as up:
        assert "'unsafe-inline'" not in requests.get(up.url, timeout=10).headers["Content-Security-Policy"]
        window.look()
        window.complaints()
        for path in ("/model", "/docs", "/"):
            window.get(up.url + path)
            assert len(window.all("script")) == 1, path
            assert window.all("main img, main b, option b") == [], path
        field = window.one("form input")
        field.clear()
        with window.leaving():
            field.send_keys("3", Keys.ENTER)
        assert window.one("h1").text == markup
        assert markup in window.texts(".bars .name")
        assert any(name[1:] in text for text in window.texts("dt"))
        assert window.all("main script, main img") == []
        upload(window, up, tmp_path / "rows.csv", f'"{name.replace(chr(34), chr(34) * 2)}",kind\n<i>x</i>,plain\n')
        assert window.texts("[role=alert] li") == [f'row 1, {name}: expected a number, got "<i>x</i>"']
        assert window.complaints() == [] or all("422" in one for one in window.complaints())
