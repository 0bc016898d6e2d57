"""A real browser for the tests of the site and of the app."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

sync_api = pytest.importorskip(
    'playwright.sync_api', reason="a browser needs pip install -e '.[docs]'"
)

BROWSER = shutil.which(os.environ.get('CHROMIUM') or 'chromium')
OPTIONS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]


@contextmanager
def open_browser() -> Iterator[sync_api.Browser]:
    """Run a browser without a window."""
    with sync_api.sync_playwright() as p:
        b = p.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield b
        b.close()


def watched(context: sync_api.BrowserContext, may_abort: bool = False) -> sync_api.Page:
    """Open a tab; what goes wrong in it is in `.wrong`.

    A page that asks as people type may take back a question that has no use any more.
    """
    page = context.new_page()
    page.wrong = []

    def on_console(message: sync_api.ConsoleMessage) -> None:
        if message.type == 'error':
            page.wrong.append(message.text)

    def on_response(response: sync_api.Response) -> None:
        if response.status >= 400:
            page.wrong.append(f'{response.status}: {response.url}')

    def on_request(request: sync_api.Request) -> None:
        if not request.url.startswith(('http://127.0.0.1:', 'data:', 'blob:')):
            page.wrong.append(f'asks the network for {request.url}')

    def on_failure(request: sync_api.Request) -> None:
        if not (may_abort and request.failure == 'net::ERR_ABORTED'):
            page.wrong.append(f'failed: {request.url}')

    page.on('console', on_console)
    page.on('pageerror', lambda error: page.wrong.append(str(error)))
    page.on('requestfailed', on_failure)
    page.on('response', on_response)
    page.on('request', on_request)
    return page


def barriers(page: sync_api.Page, impacts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Find what keeps people out, of the given impacts, by axe."""
    axe = pytest.importorskip('axe_playwright_python.sync_playwright').Axe()
    return [
        (
            violation['id'],
            violation['impact'],
            violation['nodes'][0]['html'][:200],
            violation['nodes'][0].get('failureSummary', '')[:300],
        )
        for violation in axe.run(page).response['violations']
        if violation['impact'] in impacts
    ]
