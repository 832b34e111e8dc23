"""A real, headless browser for tests of pages, with an account of what it said and asked for."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as the system has it; with BENCH_BROWSER=required its absence is a failure."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        missing = pytest.fail if os.environ.get("BENCH_BROWSER") == "required" else pytest.skip
        missing("no Chromium on this machine: `apt-get install chromium`, and this runs")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield started
        started.close()


def listen(page: Page) -> list[str]:
    """What goes wrong on a page from now on: what it logs, throws, or asks of anything but itself."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"threw: {error}"))
    page.on("request", lambda asked: heard.append(asked.url[:80]) if not is_own(asked.url) else None)
    return heard


def is_own(address: str) -> bool:
    return address.startswith(("data:", "file:", "blob:"))
