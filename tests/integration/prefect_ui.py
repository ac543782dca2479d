"""The Prefect UI in headless Chromium, by what a person sees: texts, links and buttons, never by the page's own classes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.polling import BUSY, eventually

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    # The UI asks a service of its makers for the settings of its statistics, even where those are off. Tests talk to nobody outside. (Routes of Playwright
    # would do it, too, but turn the browser's cache off: each page would load all of the UI anew.)
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
WIDTH, HEIGHT = 1400, 900
PAGE_SECONDS = 60.0 * BUSY
"""For a page to show what it is to show: two cores are shared with seven servers, and with four other parts of the suite."""
LOOK_SECONDS = 5.0 * BUSY
CLICK_SECONDS = 20.0 * BUSY
"""From a click to what the page sends then."""
CLICKS = 5


def chromium() -> str | None:
    """Path of an installed browser: the one that HEADRACE_TEST_CHROMIUM names, else what is on the PATH."""
    return os.environ.get("HEADRACE_TEST_CHROMIUM") or next((path for name in BROWSERS if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class PrefectUi:
    """A browser's one page. `pictures`: where screenshots go."""

    page: Page
    url: str
    pictures: Path

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}/v2{path}", wait_until="domcontentloaded")

    def search(self, deployments: str) -> None:
        """On the page of deployments, which shows ten at a time."""
        self.page.get_by_placeholder("Search deployments").fill(deployments)

    def shows(self, text: str | re.Pattern[str]) -> None:
        """Waits for the text to be visible, anywhere on the page."""
        self.page.get_by_text(text).first.wait_for(state="visible", timeout=PAGE_SECONDS * 1000)

    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def picture(self, name: str) -> Path:
        """Once nothing moves any more. The path of the PNG."""
        self.page.wait_for_load_state("networkidle", timeout=PAGE_SECONDS * 1000)
        path = self.pictures / f"{name}.png"
        self.page.screenshot(path=path, animations="disabled")
        return path

    def open_deployment(self, deployment: str) -> None:
        """By its id: in the list, deployments of many flows are called after the same connection."""
        self.open(f"/deployments/deployment/{deployment}")

    def open_form(self, deployment: str) -> None:
        """From the page of a deployment to the form of a custom run."""
        self._open_run_menu(deployment)
        self._choose_how("Custom run")
        self.shows("Enforce Parameter Schema")

    def quick_run(self, deployment: str) -> str:
        """The id of the run."""
        return self._started_by(lambda: self._open_run_menu(deployment), lambda: self._choose_how("Quick run"))

    def choose(self, field: str, option: str) -> None:
        """In the drop-down of a field of the form."""
        self.page.get_by_role("button", name=f"Select {field}", exact=True).click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def submit(self) -> str:
        """The id of the run that the form starts."""
        button = self.page.get_by_role("button", name="Submit", exact=True)
        return self._started_by(lambda: button.wait_for(state="visible"), button.click)

    def _open_run_menu(self, deployment: str) -> None:
        self.open_deployment(deployment)
        self.page.get_by_role("button", name="Run", exact=True).click()

    def _choose_how(self, item: str) -> None:
        self.page.get_by_role("menuitem", name=item).click()

    def _started_by(self, come_to_it: Callable[[], None], click: Callable[[], None]) -> str:
        """Of the server's answer to what the click sent: the notice with its link is gone after a few seconds.

        Clicks again, as a person would: where a page that was just being drawn anew lost the click, and where the server was too busy for it
        (Prefect answers 503 when SQLite is locked; its own clients try again then, its pages don't).
        """
        seen = []
        for _ in range(CLICKS):
            come_to_it()  # as long as it takes: the page may have to be loaded
            try:
                with self.page.expect_request(
                    lambda request: request.url.endswith("/create_flow_run"), timeout=CLICK_SECONDS * 1000
                ) as sent:
                    click()
            except PlaywrightTimeout:
                seen.append("nothing was sent")
                continue
            answer = sent.value.response()
            if answer is not None and answer.ok:
                return str(answer.json()["id"])
            seen.append(f"{answer.status} {answer.text()}" if answer is not None else f"no answer: {sent.value.failure}")
        raise AssertionError(f"{CLICKS} clicks started no run ({'; '.join(seen)}); the page shows:\n{self.text()}")

    def artifacts_show(self, run_id: str, text: re.Pattern[str], *, within: float) -> None:
        """Waits until the tab "Artifacts" of a run shows the text; opened again and again: an open one asks the server rarely."""

        def seen() -> bool:
            self.open(f"/runs/flow-run/{run_id}?tab=Artifacts")
            try:
                self.page.get_by_text(text).first.wait_for(state="visible", timeout=LOOK_SECONDS * 1000)
            except PlaywrightTimeout:
                return False
            return True

        eventually(seen, within=within, what=f"the artifacts of run {run_id} show {text.pattern!r}")

    def open_artifact(self, artifact_id: str) -> None:
        self.open(f"/artifacts/artifact/{artifact_id}")


@contextmanager
def browsing(browser_path: str, url: str, pictures: Path) -> Iterator[PrefectUi]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        try:
            context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-GB", timezone_id="UTC")
            context.set_default_timeout(PAGE_SECONDS * 1000)
            yield PrefectUi(context.new_page(), url, pictures)
        finally:
            browser.close()
