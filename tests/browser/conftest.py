"""What tests of pages that open offline share: Chromium, and pages in which nothing may go wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LAPTOP = {"width": 1280, "height": 900}

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        system = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        try:
            found = playwright.chromium.launch(executable_path=system, args=options)
        except sync_api.Error as error:
            pytest.skip(f"there is no Chromium: {error.message.splitlines()[0]}")
        yield found
        found.close()


@pytest.fixture
def beside() -> re.Pattern[str]:
    """What a page may ask for besides itself: what lies within it or beside it."""
    return re.compile(r"file:|data:")


@pytest.fixture
def visit(browser: Any, beside: re.Pattern[str]) -> Iterator[Open]:
    """Opens a page of a file; at the end, whatever went wrong in it fails the test."""
    contexts, troubles = [], []

    def call(path: Path, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": LAPTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (troubles.append("an alert"), dialog.dismiss()))
        own = path.as_uri()
        page.on(
            "request",
            lambda request: None if request.url == own or beside.match(request.url) else troubles.append(request.url),
        )
        page.goto(own)
        return page

    yield call
    for context in contexts:
        context.close()
    assert troubles == []
