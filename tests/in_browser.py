"""A real browser for the tests of the site and of the app."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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
# The shell without a window draws a frame only where it is asked to, which saves a
# quarter of the time of a page; a whole browser draws as always.
FRAMES_ON_DEMAND = [
    '--enable-begin-frame-control',
    '--run-all-compositor-stages-before-draw',
]


@contextmanager
def open_browser() -> Iterator[sync_api.Browser]:
    """Run a browser without a window."""
    with sync_api.sync_playwright() as p:
        b = p.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield b
        b.close()


@contextmanager
def open_frugal_browser(browser: sync_api.Browser) -> Iterator[sync_api.Browser]:
    """Run another browser like one that runs; it draws only what `draw` asks for."""
    opened = browser.browser_type.launch(
        executable_path=BROWSER, args=OPTIONS + FRAMES_ON_DEMAND
    )
    yield opened
    opened.close()


def draw(page: sync_api.Page) -> None:
    """Draw a frame in a frugal browser, in which what waits for a frame runs."""
    session = page.context.new_cdp_session(page)
    with suppress(sync_api.Error):  # a whole browser draws without being asked
        session.send('HeadlessExperimental.beginFrame')
    session.detach()


def watched(context: sync_api.BrowserContext, may_abort: bool = False) -> sync_api.Page:
    """Open a tab; what goes wrong in it is in `.wrong`.

    A page that asks as people type may take back a question that has no use any more.
    `forget_the_past` empties `.wrong`, and what was asked before is not looked at.
    """
    page = context.new_page()
    page.wrong, page.asked = [], []

    def on_console(message: sync_api.ConsoleMessage) -> None:
        if message.type == 'error':
            page.wrong.append(message.text)

    def on_response(response: sync_api.Response) -> None:
        if response.status >= 400 and response.request in page.asked:
            page.wrong.append(f'{response.status}: {response.url}')

    def on_request(request: sync_api.Request) -> None:
        page.asked.append(request)
        if not request.url.startswith(('http://127.0.0.1:', 'data:', 'blob:')):
            page.wrong.append(f'asks the network for {request.url}')

    def on_failure(request: sync_api.Request) -> None:
        is_taken_back = may_abort and request.failure == 'net::ERR_ABORTED'
        if request in page.asked and not is_taken_back:
            page.wrong.append(f'failed: {request.url}')

    page.on('console', on_console)
    page.on('pageerror', lambda error: page.wrong.append(str(error)))
    page.on('requestfailed', on_failure)
    page.on('response', on_response)
    page.on('request', on_request)
    return page


# A page that is left keeps its origin, so that its storage can be emptied there.
LEAVE = "location.replace('about:blank')"
FORGET = """
() => {
    localStorage.clear();
    sessionStorage.clear();
    return localStorage.length + sessionStorage.length === 0;
}
"""


def forget_the_past(page: sync_api.Page) -> bool:
    """Leave a page and empty its storage: whether its tab is as good as new."""
    try:
        page.unroute_all(behavior='ignoreErrors')
        page.evaluate(LEAVE)
        page.wait_for_url('about:blank')
        page.mouse.move(-1, -1)
        page.context.clear_cookies()
        is_empty = page.evaluate(FORGET)
    except sync_api.Error:
        return False
    page.wrong, page.asked = [], []
    return is_empty


class Tabs:
    """Tabs that tests use one after the other, each without a past.

    To start one takes longer than to load a page in it. Tabs that are open at the same
    time share nothing, and one that is `fresh` is for one test alone.
    """

    def __init__(self, browser: sync_api.Browser, may_abort: bool = False) -> None:
        self.browser = browser
        self.may_abort = may_abort
        self.free: dict[str, list[sync_api.Page]] = {}
        self.used: list[tuple[str | None, sync_api.Page]] = []

    def take(self, fresh: bool = False, **options: object) -> sync_api.Page:
        """Return a tab of a context with the given options."""
        key = None if fresh else repr(sorted(options.items()))
        free = self.free.get(key, []) if key else []
        if free:
            page = free.pop()
        else:
            page = watched(self.browser.new_context(**options), self.may_abort)
        self.used.append((key, page))
        return page

    def give_back(self) -> None:
        """Make the tabs of a test free for the next one."""
        for key, page in self.used:
            if key and forget_the_past(page):
                self.free.setdefault(key, []).append(page)
            else:
                page.context.close()
        self.used.clear()


# Most of the time axe looks at the contrast of one text after the other, and most of
# them are like one that it has seen: words of the same block, of code above all, with
# the same colours on the same backgrounds. It is told of those by an attribute.
MARK_SAME_COLOURS = """
() => {
    const grounds = new Map([[null, 0]]), numbers = new Map(), seen = new Set();
    const number = x => numbers.get(x) ?? numbers.set(x, numbers.size + 1).size;
    const ground = e => {
        if (grounds.has(e)) return grounds.get(e);
        const s = getComputedStyle(e);
        grounds.set(e, number([
            ground(e.parentElement), s.backgroundColor, s.backgroundImage, s.opacity,
            s.filter, s.mixBlendMode, s.position, s.overflow, s.clip, s.clipPath,
            s.transform, s.zIndex, s.boxShadow, s.visibility, s.display,
        ].join()));
        return grounds.get(e);
    };
    const blocks = 'pre, table, dl, ul, ol, p, nav, section, dialog';
    for (const e of document.querySelectorAll('body *')) {
        delete e.dataset.sameColours;
        const text = [...e.childNodes].map(n => n.nodeType == 3 ? n.data : '').join('');
        if (!text.trim()) continue;
        const s = getComputedStyle(e), { width, height } = e.getBoundingClientRect();
        const block = e.closest(blocks);
        const key = [
            block && number(block), ground(e), s.color, s.fontSize, s.fontWeight,
            s.textShadow, s.webkitTextFillColor, s.webkitTextStroke, s.textIndent,
            /[a-z0-9]\\W*[a-z0-9]/i.test(text), width > 3 && height > 3,
            !!e.closest('label, :disabled, [aria-disabled]') && e.textContent,
        ].join();
        if (seen.has(key)) e.dataset.sameColours = '';
        seen.add(key);
    }
}
"""
# Rules whose result the colour scheme decides, if the same elements are to be seen
COLOURS = ['color-contrast', 'link-in-text-block']
AXE_OPTIONS = {'resultTypes': ['violations']}
CHOOSE_TEXTS = """
axe.configure({rules: [
    {id: 'color-contrast', selector: '*:not([data-same-colours])'}]})
"""
ELEMENTS = """
[...document.querySelectorAll('body, body *')].map(e => e.checkVisibility(
    {opacityProperty: true, visibilityProperty: true}) + e.cloneNode().outerHTML).join()
"""
BACKGROUND = """
[document.documentElement, document.body].map(e => getComputedStyle(e).backgroundColor)
"""
# What moves or fades has to end; what turns for ever is left to turn.
STILL = """
async () => {
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
    const moving = document.getAnimations().filter(
        a => a.effect.getComputedTiming().endTime < Infinity);
    await Promise.all(moving.map(a => a.finished.catch(() => {})));
}
"""


def barriers(
    page: sync_api.Page, impacts: tuple[str, ...], rules: list[str] | None = None
) -> list[tuple[str, ...]]:
    """Find what keeps people out, of the given impacts, by axe; by all of its rules."""
    axe = pytest.importorskip('axe_playwright_python.sync_playwright').Axe()
    if not page.evaluate('window.axe && true'):
        page.evaluate(axe.axe_script)
        page.evaluate(CHOOSE_TEXTS)
    page.evaluate(MARK_SAME_COLOURS)
    options = AXE_OPTIONS | ({'runOnly': rules} if rules else {})
    found = page.evaluate('options => axe.run(options)', options)
    return [
        (
            violation['id'],
            violation['impact'],
            violation['nodes'][0]['html'][:200],
            violation['nodes'][0].get('failureSummary', '')[:300],
        )
        for violation in found['violations']
        if violation['impact'] in impacts
    ]


def barriers_in_light_and_dark(
    page: sync_api.Page, impacts: tuple[str, ...]
) -> list[tuple[str, ...]]:
    """Find what keeps people out of a page that is light, and then dark.

    In dark, only the rules on colours are tried if nothing else is to be seen.
    """
    page.evaluate(STILL)
    found = barriers(page, impacts)
    elements, light = page.evaluate(ELEMENTS), page.evaluate(BACKGROUND)
    page.emulate_media(color_scheme='dark')
    page.evaluate(STILL)
    assert page.evaluate(BACKGROUND) != light
    is_same = page.evaluate(ELEMENTS) == elements
    found += barriers(page, impacts, COLOURS if is_same else None)
    page.emulate_media(color_scheme='light')
    page.evaluate(STILL)
    return found
