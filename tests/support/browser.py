"""A real browser for the tests of the web pages: headless Chromium, and axe-core to look for what some people could not use."""

from __future__ import annotations

import contextlib
import functools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--no-first-run", "--lang=en",
)  # fmt: skip
WAIT_SECONDS = 30.0
NO_SCRIPT = 2  # Chromium's word for "block"


class Browser:
    """One window of Chromium."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def look(self, *, width: int = 1280, dark: bool = False) -> None:
        """Be a screen so wide, of somebody who likes it dark."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def get(self, url: str) -> None:
        """Go to an address."""
        self.driver.get(url)

    @property
    def path(self) -> str:
        """Where it is now."""
        return urlsplit(self.driver.current_url).path

    def one(self, selector: str) -> WebElement:
        """The first element of a CSS selector; raises if there is none."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """All of them."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """What they say."""
        return [one.text for one in self.all(selector)]

    @contextlib.contextmanager
    def leaving(self) -> Iterator[None]:
        """What is done here leads to another page; go on when that is there."""
        before = self.one("html").id
        yield
        self.until(lambda _: self.one("html").id != before and self.ask("return document.readyState") == "complete")

    def follow(self, text: str) -> None:
        """Click on the link of this text."""
        with self.leaving():
            self.driver.find_element(By.LINK_TEXT, text).click()

    def button(self, text: str) -> None:
        """Press the button of this text, which sends its form."""
        with self.leaving():
            self.driver.find_element(By.XPATH, f"//button[normalize-space()='{text}']").click()

    def until(self, true: Callable[[Browser], Any]) -> Any:
        """Wait until something holds. Between two pages there is none to ask: then it does not hold yet."""
        wait = WebDriverWait(self.driver, WAIT_SECONDS, poll_frequency=0.05, ignored_exceptions=[WebDriverException])
        return wait.until(lambda _driver: true(self))

    def ask(self, script: str) -> Any:
        """What a script of the test's answers."""
        return self.driver.execute_script(script)  # type: ignore[no-untyped-call]

    @property
    def sideways(self) -> int:
        """How many pixels the page is wider than the screen."""
        return int(self.ask("return document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def barriers(self) -> list[str]:
        """What axe-core finds on the page: rule, element and reason of each."""
        self.ask(_axe())
        self.ask("document.querySelectorAll('details').forEach(one => { one.open = true })")
        found = self.driver.execute_async_script(  # type: ignore[no-untyped-call]
            "axe.run(document, {resultTypes: ['violations']}).then(arguments[arguments.length - 1])"
        )
        return [
            f"{rule['id']}: {one['html'][:200]}: {one['failureSummary']}" for rule in found["violations"] for one in rule["nodes"]
        ]

    def complaints(self) -> list[str]:
        """What Chromium wrote to its console since it was asked last: blocked scripts and styles, failed loads, errors."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def browser(*, script: bool = True) -> Iterator[Browser]:
    """A window of its own, with nothing remembered; without `script` it runs none of the page's."""
    options = webdriver.ChromeOptions()
    for switch in SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not script:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": NO_SCRIPT})
    driver = webdriver.Chrome(options=options, service=Service(_found("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def _found(program: str) -> str:
    import shutil

    if (path := shutil.which(program)) is None:
        raise AssertionError(f"cannot test the pages: there is no {program}; tools/test-tools installs it")
    return path


@functools.cache
def _axe() -> str:
    done = subprocess.run([ROOT / "tools/axe"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip()).read_text()
