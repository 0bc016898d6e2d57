"""The site in a real browser, with nothing else on the network.

It is served under a subpath, as a project page is. Build it first, with
`python tools/make_site.py`. Needs Debian's `chromium`, or the browser that the variable
CHROMIUM names.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import functools
import gzip
import http.server
import importlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urljoin
from xml.etree import ElementTree

import pytest
from in_browser import (
    BROWSER,
    STILL,
    Tabs,
    barriers,
    barriers_in_light_and_dark,
    draw,
    open_browser,
    open_frugal_browser,
    sync_api,
    watched,
)

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / '_docs'
html = pytest.importorskip('lxml.html', reason="pages need pip install -e '.[docs]'")
cssselect = pytest.importorskip('lxml.cssselect')
if not (SITE / 'index.html').exists():
    pytest.skip(
        'the site is not built: python tools/make_site.py', allow_module_level=True
    )
if not BROWSER:
    pytest.skip('no chromium here', allow_module_level=True)
sys.path.insert(0, str(ROOT / 'tools'))
from book import (
    HIDDEN,
    chapters,
    docs_pages,
    read,
    settings,
    title_and_subtitle,
    without_directives,
)

SETTINGS = settings()
PAGES = sorted(
    p.relative_to(SITE).as_posix()
    for p in SITE.rglob('*.html')
    if '_static' not in p.parts
)
CHAPTERS = [p.stem for p in chapters()]
MODULES = sorted(p.stem for p in (ROOT / 'mf_movielens').glob('[a-z]*.py'))
SOME = [
    'index.html',
    'play.html',
    '01_frames.html',
    '07_model.html',
    '06_baselines.html',
    'reference.html',
    'reference/metrics.html',
    'reference/recommender.html',
    'bibliography.html',
    '07b_keras_example.html',
    'cheat_sheet.html',
    'glossary.html',
    'which_model.html',
    '00_begin.html',
    '21_benchmark.html',
    'genindex.html',
    'search.html?q=cold+start',
    '404.html',
]
PREFIX = SETTINGS['doc_baseurl'] + '/'
PACKED = ('.html', '.js', '.css', '.json', '.svg', '.ipynb')


@functools.cache
def body_of(file: Path) -> bytes:
    """What is sent for a file."""
    raw = file.read_bytes()
    return gzip.compress(raw) if file.suffix in PACKED else raw


class Handler(http.server.SimpleHTTPRequestHandler):
    """The site below PREFIX, packed as it is by its public server, and counted."""

    sent = 0

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(self.path.split('?')[0])
        file = SITE / path.removeprefix(PREFIX)
        if file.is_dir():
            file = file / 'index.html'
        status = 200
        if not path.startswith(PREFIX) or not file.is_file():
            status, file = 404, SITE / '404.html'
        body = body_of(file)
        Handler.sent += len(body)
        self.send_response(status)
        self.send_header('Content-Type', self.guess_type(str(file)))
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Cache-Control', 'max-age=600')
        if file.suffix in PACKED:
            self.send_header('Content-Encoding', 'gzip')
        with contextlib.suppress(ConnectionError):  # a tab may have gone on
            self.end_headers()
            self.wfile.write(body)


@pytest.fixture(scope='module')
def base() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}{PREFIX}'
    server.shutdown()


@pytest.fixture(scope='module')
def browser() -> Iterator[sync_api.Browser]:
    with open_browser() as opened:
        yield opened


def visit(page: sync_api.Page, url: str) -> sync_api.Page:
    """Open an address and wait until scripts and formulas are done."""
    page.goto(url, wait_until='load')
    page.evaluate(
        'async () => { await window.MathJax?.startup?.promise;'
        ' await document.fonts.ready }'
    )
    return page


OpenTab = Callable[..., 'sync_api.Page']


@pytest.fixture(scope='module')
def tabs(browser: sync_api.Browser) -> Tabs:
    return Tabs(browser)


@pytest.fixture
def tab(tabs: Tabs) -> Iterator[OpenTab]:
    """A function that opens a page in a tab without a past."""

    def open_tab(url: str, width: int = 1280, **options: object) -> sync_api.Page:
        page = tabs.take(viewport={'width': width, 'height': 900}, **options)
        if options.get('java_script_enabled', True):
            return visit(page, url)
        page.goto(url)
        return page

    yield open_tab
    tabs.give_back()


@pytest.fixture(scope='module')
def reader(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    """A tab in which one page is read after the other."""
    with open_frugal_browser(browser) as opened:
        yield watched(opened.new_context(viewport={'width': 1280, 'height': 900}))


@functools.cache
def parsed(page: str) -> html.HtmlElement:
    return html.document_fromstring((SITE / page).read_text(encoding='utf-8'))


css = functools.cache(functools.partial(cssselect.CSSSelector, translator='html'))


def select(page: str, selector: str) -> list[html.HtmlElement]:
    """The elements of a page that a selector of CSS finds."""
    return css(selector)(parsed(page))


def text_of(element: html.HtmlElement) -> str:
    return element.text_content().strip()


# every page

PROSE = """
[...document.querySelectorAll('article :is(p, li, td, h1, h2, h3)')].map(e => {
    e = e.cloneNode(true);
    e.querySelectorAll('pre, code, mjx-container').forEach(x => x.remove());
    return e.textContent;
}).join(' ')
"""


# Code that is too wide: the lines of a block that scrolls sideways, folded ones too
WIDE = """
[...document.querySelectorAll('article div[class*=highlight-] pre')].filter(pre => {
    if (pre.closest('.cell_output')) return false;
    for (let e = pre; e; e = e.parentElement) if (e.tagName == 'DETAILS') e.open = true;
    return pre.scrollWidth > pre.clientWidth;
}).map(pre => pre.innerText.split('\\n').sort((a, b) => b.length - a.length)[0])
"""


class Visit(NamedTuple):
    """What was seen of a page: faults, code that is too wide, a telephone's view."""

    wrong: list[str]
    wide: list[str]
    telephone_width: int
    prose: str


@pytest.fixture(scope='module')
def visits(base: str, reader: sync_api.Page) -> Callable[[str], Visit]:
    """A function that visits a page once, however many tests ask for it."""

    @functools.cache
    def visited(name: str) -> Visit:
        reader.wrong.clear()
        reader.set_viewport_size({'width': 1280, 'height': 900})
        draw(visit(reader, base + name))
        wide = reader.evaluate(WIDE)
        reader.set_viewport_size({'width': 390, 'height': 844})
        width = reader.evaluate('document.documentElement.scrollWidth')
        return Visit([*reader.wrong], wide, width, reader.evaluate(PROSE))

    return visited


@pytest.mark.parametrize('name', PAGES)
def test_a_page_loads_without_a_fault_and_fits_a_telephone(
    name: str, visits: Callable[[str], Visit]
) -> None:
    page = visits(name)
    assert page.wrong == []
    assert page.telephone_width <= 390
    assert not re.search(r'\$\$|\\\(|\\\[|\\frac|\\hat', page.prose)


@pytest.mark.parametrize('name', PAGES)
def test_no_code_scrolls_sideways(name: str, visits: Callable[[str], Visit]) -> None:
    assert visits(name).wide == []


def test_88_columns_fit_in_a_folded_cell_too(base: str, tab: OpenTab) -> None:
    page = tab(base + '04_metrics.html')
    fits = page.evaluate("""
        [...document.querySelectorAll('div.cell_input pre')].map(pre => {
            const details = pre.closest('details');
            if (details) details.open = true;
            pre.textContent = 'm'.repeat(88);
            return pre.scrollWidth <= pre.clientWidth;
        })
    """)
    assert len(fits) > 10
    assert all(fits)


def test_there_is_a_page_for_everything() -> None:
    wanted = ['index', 'reference', 'bibliography', 'search', *CHAPTERS]
    wanted += [path.stem for path in docs_pages()]
    assert {f'{name}.html' for name in wanted} <= set(PAGES)
    linked = [a.get('href') for a in select('index.html', 'nav.bd-links a')]
    order = [h.removesuffix('.html') for h in linked if h[:2].isdigit()]
    assert order == CHAPTERS


def test_plumbing_is_under_the_hood() -> None:
    parts = {}
    for caption in select('index.html', 'nav.bd-links p[role=heading]'):
        hrefs = caption.xpath('following-sibling::ul[1]//a/@href')
        parts[text_of(caption)] = [str(href) for href in hrefs]
    plumbing = [f'{name}.html' for name in CHAPTERS if name >= '89']
    assert plumbing
    assert parts['Under the hood'] == plumbing
    assert list(parts)[-2:] == ['Under the hood', 'Look up']


def test_the_front_page_lists_every_chapter() -> None:
    headings = select('index.html', 'article h2')
    (heading,) = [h for h in headings if 'chapters' in text_of(h)]
    internal = css('a.reference.internal')(heading.getparent())
    links = [a.get('href') for a in internal]
    assert [link for link in links if link[:2].isdigit()] == [
        f'{name}.html' for name in CHAPTERS
    ]


def test_no_page_is_missing_from_the_lists() -> None:
    namespace = '{http://www.sitemaps.org/schemas/sitemap/0.9}'
    tree = ElementTree.parse(SITE / 'sitemap.xml')
    listed = [loc.text for loc in tree.iter(f'{namespace}loc')]
    start = SETTINGS['site'] + '/'
    wanted = {page for page in PAGES if page not in ('404.html', 'search.html')}
    assert len(listed) == len(set(listed))
    assert {u.removeprefix(start) or 'index.html' for u in listed} == wanted
    robots = (SITE / 'robots.txt').read_text(encoding='utf-8')
    assert f'Sitemap: {start}sitemap.xml\n' in robots
    # what is not in the list at the side cannot be found by reading
    hrefs = {a.get('href') for a in select('index.html', 'nav.bd-links a')}
    nav = {href for href in hrefs if href.endswith('.html') and '/' not in href}
    assert {p for p in wanted if '/' not in p} == nav | {'index.html'}


def test_every_page_is_described_in_its_own_words() -> None:
    seen: dict[str, str] = {}
    for page in PAGES:
        (tag,) = select(page, 'head meta[name=description]')
        text = tag.get('content')
        assert 20 <= len(text) <= 200, page
        assert text not in seen, (page, seen[text])
        seen[text] = page
    for name in CHAPTERS:
        (tag,) = select(f'{name}.html', 'head meta[name=description]')
        quoted = select(f'{name}.html', 'article blockquote p')[0]
        assert tag.get('content') == quoted.text_content()


def test_links_and_anchors_lead_somewhere() -> None:
    ids = {page: {*parsed(page).xpath('//@id | //a/@name')} for page in PAGES}
    dead = []
    for page in PAGES:
        for href in parsed(page).xpath('//a/@href'):
            to, anchor = urldefrag(href)
            if re.match(r'[a-z]+:', to):
                continue
            if page == '404.html' and to:
                assert to.startswith(PREFIX), to
                to = to.removeprefix(PREFIX) or 'index.html'
            to = urljoin(page, to) if to else page
            if not (SITE / unquote(to)).is_file() or (
                anchor and to in ids and unquote(anchor) not in ids[to]
            ):
                dead.append((page, href))
    assert dead == []


def test_every_picture_says_what_it_shows() -> None:
    images = [(page, img) for page in PAGES for img in select(page, 'article img')]
    assert len(images) > 15
    # without one, the name of the file would stand there
    short = [
        (page, img.get('src'))
        for page, img in images
        if len(img.get('alt', '').split()) < 8
    ]
    assert short == []


# where a page can be edited, and its source be found


def repository_links(page: str, kind: str) -> set[str]:
    """The paths in the repository to which the links of a page lead."""
    start = f'{SETTINGS["git_url"]}/{kind}/{SETTINGS["branch"]}/'
    hrefs = parsed(page).xpath('//a/@href')
    paths = [h.removeprefix(start) for h in hrefs if h.startswith(start)]
    return {re.split('[?#]', path)[0] for path in paths}


@pytest.mark.parametrize('name', ['index', *CHAPTERS])
def test_a_chapter_can_be_opened_edited_and_downloaded(name: str) -> None:
    hrefs = {*parsed(f'{name}.html').xpath('//a/@href')}
    repository = SETTINGS['git_url'].removeprefix('https://github.com/')
    colab = f'https://colab.research.google.com/github/{repository}'
    assert f'{colab}/blob/{SETTINGS["branch"]}/nbs/{name}.ipynb' in hrefs
    assert repository_links(f'{name}.html', 'edit') == {f'nbs/{name}.ipynb'}
    assert f'nbs/{name}.ipynb' in repository_links(f'{name}.html', 'blob')
    assert f'_sources/{name}.ipynb' in hrefs
    downloaded = (SITE / f'_sources/{name}.ipynb').read_bytes()
    assert downloaded == (ROOT / f'nbs/{name}.ipynb').read_bytes()


@pytest.mark.parametrize('page', PAGES)
def test_edit_links_lead_to_files_of_the_repository(page: str) -> None:
    paths = repository_links(page, 'edit')
    missing = [path for path in paths if not (ROOT / path).is_file()]
    assert missing == []
    if page in ('reference.html', 'genindex.html', 'search.html'):
        assert paths == set()


def notebook_of(module: str) -> str | None:
    """The notebook that makes a module, by what nbdev is told."""
    for path in chapters():
        sources = [cell.source for cell in read(path).cells]
        if any(re.search(rf'^#\| default_exp {module}$', s, re.M) for s in sources):
            return path.name
    return None


@pytest.mark.parametrize('name', MODULES)
def test_a_module_has_a_page_with_all_of_its_names(name: str) -> None:
    module = importlib.import_module(f'mf_movielens.{name}')
    page, notebook = f'reference/{name}.html', notebook_of(name)
    ids = {*parsed(page).xpath('//@id')}
    wanted = {f'mf_movielens.{name}.{n}' for n in module.__all__}
    assert wanted - ids == set()
    source = f'nbs/{notebook}' if notebook else f'mf_movielens/{name}.py'
    assert repository_links(page, 'edit') == {source}
    if notebook:
        assert select(page, f'article a[href="../{notebook[:-6]}.html"]')
        assert select(f'{notebook[:-6]}.html', f'article a[href="{page}"]')


def test_the_source_of_a_function_is_linked_to_its_lines() -> None:
    text = (ROOT / 'mf_movielens/metrics.py').read_text(encoding='utf-8')
    page = (SITE / 'reference/metrics.html').read_text(encoding='utf-8')
    found = re.findall(r'/mf_movielens/metrics\.py#L(\d+)-L\d+', page)
    lines = text.splitlines()
    firsts = [lines[int(first) - 1] for first in found]
    assert len(firsts) >= 3
    assert all(re.match(r'(def|class|@)', line) for line in firsts)


def test_the_reference_has_tables_of_parameters_and_links_types() -> None:
    page = parsed('reference/validation.html')
    entry = page.get_element_by_id('mf_movielens.validation.check_int').getparent()
    fields = [text_of(dt) for dt in css('dl.field-list > dt')(entry)]
    assert [f.strip(':') for f in fields] == ['Parameters', 'Returns', 'Raises']
    links = {a.get('href') for a in css('a.external')(entry)}
    assert 'https://docs.python.org/3/library/functions.html#int' in links
    assert css('.doctest')(entry)


@pytest.mark.parametrize('name', MODULES)
def test_types_of_other_packages_are_linked(name: str) -> None:
    """One that is not linked is missing in docs/_inventories."""
    page = f'reference/{name}.html'
    signatures = ' '.join(e.text_content() for e in select(page, 'dt.sig'))
    assert not re.search('ForwardRef|<factory>| at 0x', signatures)
    texts = [
        e.text_content()
        for e in select(page, '.sig-param .pre, .sig-return .pre, .xref')
        if next(e.iterancestors('a'), None) is None
    ]
    modules = r'(np|npt|pd|numpy|pandas|scipy|keras|collections|typing)\.'
    known = r'(ndarray|ArrayLike|DataFrame|Series|csr_array|Callable|Path|Any)$'
    assert [t for t in texts if re.match(f'{modules}|{known}', t)] == []


def test_prose_links_names_to_the_reference() -> None:
    links = [
        urldefrag(a.get('href'))
        for name in ['index', 'play', *CHAPTERS]
        for a in select(f'{name}.html', 'article a[href*="#mf_movielens."]')
    ]
    assert len(links) > 10
    assert all(to.startswith('reference/') for to, _ in links)


# what is folded


def code_cells(name: str) -> list[str]:
    """The sources of the code cells of a chapter that are not plumbing."""
    sources = []
    for cell in read(ROOT / f'nbs/{name}.ipynb').cells:
        is_shown = '#| echo: false' not in cell.source
        if cell.cell_type == 'code' and is_shown and not HIDDEN.search(cell.source):
            sources.append(cell.source)
    return sources


def squeezed(text: str) -> str:
    return re.sub(r'\s+', '', text)


@pytest.mark.parametrize('name', CHAPTERS)
def test_library_cells_are_folded_and_nothing_is_lost(name: str) -> None:
    page = f'{name}.html'
    folded = squeezed(''.join(e.text_content() for e in select(page, 'details pre')))
    pres = select(page, 'article pre')
    everything = squeezed(''.join(e.text_content() for e in pres))
    for source in code_cells(name):
        code = squeezed(without_directives(source))
        if code.startswith('__all__'):
            continue
        assert code in everything
        if re.search(r'^#\| export', source, re.M):
            assert code in folded
    for output in select(page, 'details .cell_output'):
        # only what solves an exercise is folded with what it prints
        summary = css('summary p')(next(output.iterancestors('details')))[0]
        assert text_of(summary).startswith('Solution')


@pytest.mark.parametrize('name', CHAPTERS)
def test_what_only_asserts_is_folded(name: str) -> None:
    for cell in select(f'{name}.html', 'article div.cell'):
        sources = css('.cell_input pre')(cell)
        if not sources or css('details, .cell_output')(cell):
            continue
        source = sources[0].text_content()
        try:
            body = ast.parse(source).body
        except SyntaxError:  # a line magic
            continue
        assert not all(isinstance(node, ast.Assert) for node in body), source
    labels = [
        text_of(css('p')(summary)[0]).partition(':')[0]
        for summary in select(f'{name}.html', 'div.cell details > summary')
    ]
    assert set(labels) <= {'Imports', 'Implementation', 'Checks', 'Drawing', 'Solution'}


def test_a_folded_cell_opens_by_keys_and_says_its_name(base: str, tab: OpenTab) -> None:
    page = tab(base + '04_metrics.html')
    summary = page.locator('div.cell details > summary').nth(1)
    code = page.locator('div.cell details').nth(1).locator('pre')
    assert summary.get_attribute('aria-label') is None
    assert summary.inner_text().strip().startswith('Implementation')
    assert not code.is_visible()
    summary.focus()
    page.keyboard.press('Enter')
    assert code.is_visible()
    page.keyboard.press('Enter')
    assert not code.is_visible()


VISIBLE = """
[...document.querySelectorAll('div.cell details pre')].map(pre =>
    pre.checkVisibility(
        {contentVisibilityAuto: true, visibilityProperty: true, opacityProperty: true})
    && pre.getBoundingClientRect().height > 10)
"""


def test_paper_has_what_is_folded(base: str, tab: OpenTab) -> None:
    page = tab(base + '17_recommender.html', fresh=True)
    assert not any(page.evaluate(VISIBLE))
    page.emulate_media(media='print')  # by the style sheet alone
    page.wait_for_timeout(200)
    seen = page.evaluate(VISIBLE)
    assert len(seen) > 5
    assert all(seen)
    assert page.evaluate(WIDE) == []


def test_printing_opens_what_is_folded_and_closes_it_again(
    base: str, tab: OpenTab
) -> None:
    page = tab(base + '17_recommender.html')
    page.locator('div.cell details > summary').first.click()
    before = page.evaluate(VISIBLE)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")  # where it is too old
    assert all(page.evaluate(VISIBLE))
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(VISIBLE) == before
    assert before[0]
    assert not any(before[1:])


# what a reader does


def test_formulas_are_set(base: str, tab: OpenTab) -> None:
    page = tab(base + '05_factors.html')
    page.wait_for_selector('mjx-container')
    n_formulas = page.locator('.math').count()
    assert n_formulas > 5
    assert page.locator('mjx-container').count() >= n_formulas
    assert page.locator('mjx-merror').count() == 0
    assert page.locator('mjx-assistive-mml').count() > 5  # for those who listen


def search(page: sync_api.Page) -> str:
    page.wait_for_selector('#search-results li a')
    return ' '.join(page.locator('#search-results li a').all_inner_texts())


def test_search_finds_fold_in(base: str, tab: OpenTab) -> None:
    page = tab(base + 'search.html?q=fold_in')
    assert 'Recommender' in search(page)
    assert page.wrong == []


def test_search_finds_what_is_folded(base: str, tab: OpenTab) -> None:
    name = '04_metrics'
    article = copy.deepcopy(select(f'{name}.html', 'article')[0])
    folded = ''
    for details in css('details')(article):
        folded += details.text_content() + ' '
        details.drop_tree()
    words = set(re.findall(r'\b[a-z]{6,}\b', folded))
    shown = set(re.findall(r'[a-z]+', article.text_content().lower()))
    word = max(sorted(words - shown), key=len)
    title, _ = title_and_subtitle(ROOT / f'nbs/{name}.ipynb')
    assert title in search(tab(base + f'search.html?q={word}'))


COVERED = """
form => {
    const icon = form.querySelector('.fa-magnifying-glass').getBoundingClientRect();
    const input = form.querySelector('input');
    const padding = parseFloat(getComputedStyle(input).paddingLeft);
    return icon.right > input.getBoundingClientRect().left + padding;
}
"""


@pytest.mark.parametrize('width', [390, 1280])
def test_the_magnifying_glass_does_not_cover_the_query(
    width: int, base: str, tab: OpenTab
) -> None:
    page = tab(base + 'search.html?q=factors', width)
    assert page.locator('main form.bd-search').evaluate(COVERED) is False
    page = tab(base + 'index.html', width)
    page.keyboard.press('Control+k')
    assert page.locator('dialog form.bd-search').evaluate(COVERED) is False


def test_an_address_that_does_not_exist_leads_on(base: str, tab: OpenTab) -> None:
    page = tab(base + 'reference/no/such/page.html')
    # the page itself is the one thing that was not found
    assert [w for w in page.wrong if 'no/such/page' not in w and '404' not in w] == []
    assert page.inner_text('h1').startswith('Page not found')
    assert page.locator('nav.bd-links a', has_text='Latent factors').count() == 1
    page.fill('#find', 'fold_in')
    page.press('#find', 'Enter')
    assert 'Recommender' in search(page)


# tables


def column(page: sync_api.Page, name: str) -> list[str]:
    """The texts of a column of the first table that can be sorted by it."""
    table = page.locator('table.sortable', has=button(page, name)).first
    return table.evaluate(
        """(table, name) => {
            const names = [...table.tHead.rows].map(row => [...row.cells].map(
                cell => cell.textContent.trim()));
            const at = Math.max(...names.map(row => row.indexOf(name)));
            return [...table.tBodies[0].rows].map(
                row => row.cells[at].textContent.trim());
        }""",
        name,
    )


def button(page: sync_api.Page, name: str) -> sync_api.Locator:
    return page.get_by_role('button', name=name, exact=True)


def test_a_table_is_sorted_by_its_headers(base: str, tab: OpenTab) -> None:
    page = tab(base + '21_benchmark.html')
    given = column(page, 'default')
    assert len(given) > 10
    header = button(page, 'default').first
    cell = header.locator('xpath=ancestor::th')
    header.focus()
    page.keyboard.press('Enter')
    assert cell.get_attribute('aria-sort') == 'ascending'
    known = [float(text) for text in column(page, 'default') if text]
    assert known == sorted(known)
    assert known != [float(text) for text in given if text]
    header.click()
    assert cell.get_attribute('aria-sort') == 'descending'
    known = [float(text) for text in column(page, 'default') if text]
    assert known == sorted(known, reverse=True)
    # what is missing stays last
    assert '' in column(page, 'tuned')
    button(page, 'tuned').first.click()
    assert cell.get_attribute('aria-sort') is None
    texts = column(page, 'tuned')
    n_missing = texts.count('')
    assert not any(texts[-n_missing:])
    page.keyboard.press('Enter')
    assert not any(column(page, 'tuned')[-n_missing:])
    page.keyboard.press('Enter')
    assert column(page, 'default') == given
    assert barriers(page, ('serious', 'critical')) == []


def test_labels_of_several_rows_stay_with_their_rows(base: str, tab: OpenTab) -> None:
    page = tab(base + '21_benchmark.html')
    pairs = """
        [...document.querySelectorAll('table.sortable')].map(table =>
            [...table.tBodies[0].rows].map(row => row.textContent.replace(/\\s+/g, ' '))
                .sort())
    """
    spanning = select('21_benchmark.html', 'table tbody [rowspan]')
    assert spanning
    assert page.locator('table.sortable [rowspan]').count() == 0
    before = page.evaluate(pairs)
    for one in page.locator('table.sortable thead button').all():
        one.click()
    assert page.evaluate(pairs) == before


def test_the_tables_of_the_benchmark_can_be_downloaded(base: str, tab: OpenTab) -> None:
    page = tab(base + '21_benchmark.html')
    with page.expect_download() as started:
        page.locator('article a[href$="/benchmark.csv"]').click()
    got = Path(started.value.path()).read_bytes()
    assert got == (ROOT / 'mf_movielens/results/benchmark.csv').read_bytes()
    page.locator('article').get_by_role('link', name='key to the columns').first.click()
    assert page.url.endswith('#key-to-the-columns')


def test_only_the_search_page_loads_what_searches() -> None:
    index = 'script[src$="searchindex.js"]'
    assert [name for name in PAGES if select(name, index)] == ['search.html']


def background(page: sync_api.Page) -> str:
    return page.evaluate('getComputedStyle(document.body).backgroundColor')


def test_dark_can_be_chosen(base: str, tab: OpenTab) -> None:
    page = tab(base + '01_frames.html', color_scheme='light')
    light = background(page)
    page.locator('button.theme-switch-button:visible').first.click()
    page.locator('button.theme-change-button[data-mode=dark]:visible').first.click()
    page.evaluate(STILL)  # colours fade
    assert page.get_attribute('html', 'data-theme') == 'dark'
    assert background(page) != light
    page.goto(base + '02_encoding.html')
    assert page.get_attribute('html', 'data-theme') == 'dark'  # and is remembered


def test_the_copy_button_copies(base: str, tab: OpenTab) -> None:
    page = tab(base + 'index.html', permissions=['clipboard-read', 'clipboard-write'])
    block = page.locator('div.highlight', has_text='mf-movielens train').first
    block.hover()
    block.locator('button.copybtn').click()
    page.wait_for_timeout(200)
    copied = page.evaluate('navigator.clipboard.readText()')
    assert copied == 'pip install . && mf-movielens train'


@pytest.mark.parametrize('name', SOME)
def test_nothing_keeps_people_out(name: str, base: str, tab: OpenTab) -> None:
    page = tab(base + name, color_scheme='light')
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert barriers_in_light_and_dark(page, ('serious', 'critical')) == []


def test_the_front_page_is_light_and_needs_no_script(base: str, tab: OpenTab) -> None:
    Handler.sent = 0
    tab(base + 'index.html', fresh=True).wait_for_load_state('networkidle')
    assert 0 < Handler.sent < 1_000_000
    narrow = tab(base + 'index.html', 390)
    shown = narrow.locator('article picture img').evaluate('img => img.currentSrc')
    assert shown.endswith('map_narrow.png')
    page = tab(base + 'index.html', fresh=True, java_script_enabled=False)
    for element in ('h1', 'img', 'table'):
        assert page.locator(f'article {element}').first.is_visible()
    page.locator('ul.doors a', has_text='Learn').click()
    page.wait_for_load_state()
    assert page.url.endswith('00_begin.html')
