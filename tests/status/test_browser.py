"""The status pages in a real browser: what people, keyboards and screen readers meet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from kit import create_tables, sqlite_file
from selenium import webdriver
from selenium.webdriver.chrome.service import Service as DriverService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from status_stage import HOSTILE, MOVEMENTS, PAGES, fill_shop, opened_service, story_pages

from cryptoassets_core.service.main import Service
from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.testing.requirements import require
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer

#: The accessibility checker, as its Python package brings it; nothing else of that package is used.
AXE = distribution("axe-playwright-python").locate_file("axe_playwright_python/axe.min.js")

#: Width, height, and whether it prefers the dark.
SCREENS = {"desktop": (1280, 900, False), "phone": (390, 844, False), "dark": (1280, 900, True)}

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


class Browser:
    """Chromium, and what it noticed."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def screen(self, name: str) -> None:
        width, height, dark = SCREENS[name]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": name == "phone"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def open(self, url: str) -> None:
        """Open a page; its errors, and requests to elsewhere, fail the test."""
        self.driver.get_log("performance")
        self.driver.get(url)
        assert self.driver.get_log("browser") == [], url
        origin = "/".join(url.split("/")[:3])
        requested = [
            message["params"]["request"]["url"]
            for entry in self.driver.get_log("performance")
            if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
        ]
        assert requested
        assert [each for each in requested if not each.startswith(f"{origin}/")] == [], url

    def barriers(self) -> list[str]:
        """Return what keeps people out, as far as axe finds it serious or worse."""
        self.driver.execute_script(Path(str(AXE)).read_text(encoding="utf-8"))
        found: dict[str, Any] = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run({resultTypes: ['violations']}).then(done);"
        )
        return [
            f"{each['id']}: {each['nodes'][0]['html'][:200]}: {each['nodes'][0]['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def count(self, selector: str) -> int:
        return len(self.driver.find_elements(By.CSS_SELECTOR, selector))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = require("chromium", "chromium")
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With its path given, selenium looks for no driver and downloads none.
    service = DriverService(executable_path=require("chromedriver", "chromium-driver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(60)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@contextmanager
def served(service: Service) -> Iterator[str]:
    server = BackgroundHTTPServer(make_wsgi_app(service), "127.0.0.1", 0, "status-server")
    server.start()
    try:
        yield server.url.rstrip("/")
    finally:
        server.stop()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, int]]]:
    """A small shop whose people have hostile names."""
    directory = tmp_path_factory.mktemp("shop")
    url = sqlite_file(directory / "books.sqlite")
    create_tables(url)
    with opened_service(url, directory) as service, served(service) as address:
        yield address, fill_shop(service)


def test_empty_pages_have_no_barriers(browser: Browser, tmp_path: Path) -> None:
    url = sqlite_file(tmp_path / "books.sqlite")
    create_tables(url)
    browser.screen("desktop")
    with opened_service(url, tmp_path) as service, served(service) as address:
        for page in PAGES:
            browser.open(address + page)
            assert browser.count("h1") == 1
            assert browser.barriers() == [], page


@pytest.mark.parametrize("screen", SCREENS)
def test_pages_have_no_barriers_and_show_hostile_texts(
    browser: Browser, shop: tuple[str, dict[str, int]], screen: str
) -> None:
    address, ids = shop
    browser.screen(screen)
    shown = ""
    for page in [*PAGES, *story_pages(ids)]:
        browser.open(address + page)
        # An alert of a script that ran would end this with an error.
        assert browser.count("script, iframe, object, svg[onload], [onerror]") == 0, page
        # The colours and the narrow form are the same on all pages of a kind.
        if screen == "desktop" or page in ("/", "/activity", "/transactions", *story_pages(ids)[:3]):
            assert browser.barriers() == [], page
        wide = browser.driver.execute_script("return document.scrollingElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{page} is wider than the screen"
        shown += browser.text()
    for text in HOSTILE[:4]:
        assert text in shown


def test_everything_is_reached_by_keyboard(browser: Browser, shop: tuple[str, dict[str, int]]) -> None:
    address, _ = shop
    browser.screen("desktop")
    browser.open(f"{address}/transactions")
    wanted = browser.count("a[href], input:not([type=hidden]), select, button, summary, [tabindex='0']")
    reached = []
    for _ in range(wanted):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.driver.switch_to.active_element)
        outline = browser.driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", reached[-1].get_attribute("outerHTML")
    assert len({each.id for each in reached}) == wanted
    assert reached[0].get_attribute("class") == "skip"
    reached[0].send_keys(Keys.ENTER)
    assert browser.driver.current_url.endswith("#content")


def test_search_and_next_page_work_without_a_script(browser: Browser, shop: tuple[str, dict[str, int]]) -> None:
    address, ids = shop
    browser.screen("desktop")
    browser.open(f"{address}/accounts")
    field = browser.driver.find_element(By.NAME, "name")
    field.send_keys(HOSTILE[1], Keys.ENTER)
    assert browser.count("tbody tr") == 1
    assert HOSTILE[1] in browser.text()
    browser.driver.find_element(By.CSS_SELECTOR, "tbody a").click()
    assert "Entries, newest first" in browser.text()
    browser.open(f"{address}/transactions/btc/{ids['deposit']}")
    assert browser.count("ol.steps > li") == 4


@pytest.mark.postgres
def test_pages_of_long_books_work(browser: Browser, long_books: Any, tmp_path: Path) -> None:
    browser.screen("desktop")
    account = long_books.account_ids[5]
    with opened_service(long_books.url, tmp_path) as service, served(service) as address:
        for page in [*PAGES, f"/accounts/btc/{account}", f"/transactions/btc/{MOVEMENTS}", "/events/1"]:
            browser.open(address + page)
            assert browser.count("tbody tr") <= 250, page
            assert browser.barriers() == [], page
        browser.open(f"{address}/transactions")
        newest = browser.driver.find_element(By.CSS_SELECTOR, "tbody a").text
        browser.driver.find_element(By.CSS_SELECTOR, "a[rel=next]").click()
        assert int(browser.driver.find_element(By.CSS_SELECTOR, "tbody a").text) == int(newest) - 50
        browser.open(f"{address}/activity")
        assert browser.count("svg[role=img]") >= 2
