"""The site in a real browser, served under a subpath as a project page is, with nothing else on the network.

Build it first: `python tools/make_site.py`. Needs Debian's `chromium`, or the browser named in CHROMIUM.
"""

import functools, gzip, http.server, json, os, re, shutil, sys, threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / '_docs'
BROWSER = shutil.which(os.environ.get('CHROMIUM') or 'chromium')
sync_api = pytest.importorskip(
    'playwright.sync_api', reason="the site's tests need pip install -e '.[docs]'"
)
bs4 = pytest.importorskip('bs4')
if not (SITE / 'index.html').exists():
    pytest.skip(
        'the site is not built: python tools/make_site.py', allow_module_level=True
    )
if not BROWSER:
    pytest.skip('no chromium here', allow_module_level=True)
sys.path.insert(0, str(ROOT / 'tools'))
from book import chapters, settings

SETTINGS = settings()
PAGES = sorted(
    p.relative_to(SITE).as_posix()
    for p in SITE.rglob('*.html')
    if '_static' not in p.parts
)
CHAPTERS = [p.stem for p in chapters()]
SOME = [
    'index.html',
    'play.html',
    '01_frames.html',
    '07_model.html',
    '06_baselines.html',
    'api_metrics.html',
    'bibliography.html',
]
PREFIX = SETTINGS['doc_baseurl'] + '/'


class Handler(http.server.SimpleHTTPRequestHandler):
    "The site below PREFIX, packed as it is by its public server, and counted."

    sent = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = unquote(self.path.split('?')[0])
        file = SITE / path.removeprefix(PREFIX)
        if file.is_dir():
            file = file / 'index.html'
        if not path.startswith(PREFIX) or not file.is_file():
            return self.send_error(404)
        raw = file.read_bytes()
        packed = file.suffix in ('.html', '.js', '.css', '.json', '.svg', '.ipynb')
        body = gzip.compress(raw) if packed else raw
        Handler.sent += len(body)
        self.send_response(200)
        self.send_header('Content-Type', self.guess_type(str(file)))
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Cache-Control', 'max-age=600')
        if packed:
            self.send_header('Content-Encoding', 'gzip')
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope='module')
def base():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}{PREFIX}'
    server.shutdown()


@pytest.fixture(scope='module')
def browser():
    with sync_api.sync_playwright() as p:
        b = p.chromium.launch(
            executable_path=BROWSER,
            args=[
                '--no-sandbox',
                '--disable-gpu',
                '--disable-quic',
                '--no-first-run',
                '--disable-background-networking',
                '--disable-component-update',
                '--disable-sync',
            ],
        )
        yield b
        b.close()


def watched(context):
    "A tab; what goes wrong in it is in `.wrong`."
    page = context.new_page()
    page.wrong = []
    page.on(
        'console', lambda m: page.wrong.append(m.text) if m.type == 'error' else None
    )
    page.on('pageerror', lambda e: page.wrong.append(str(e)))
    page.on('requestfailed', lambda r: page.wrong.append(f'failed: {r.url}'))
    page.on(
        'response',
        lambda r: (
            page.wrong.append(f'{r.status}: {r.url}') if r.status >= 400 else None
        ),
    )
    page.on(
        'request',
        lambda r: (
            None
            if r.url.startswith(('http://127.0.0.1:', 'data:', 'blob:'))
            else page.wrong.append(f'asks the network for {r.url}')
        ),
    )
    return page


def visit(page, url):
    "Open an address and wait until scripts and formulas are done."
    page.goto(url, wait_until='load')
    page.evaluate(
        'async () => { await window.MathJax?.startup?.promise; await document.fonts.ready }'
    )
    return page


@pytest.fixture
def tab(browser):
    "A function that opens a page in a browser without a past."
    opened = []

    def open_(url, width=1280, **how):
        opened.append(
            browser.new_context(viewport={'width': width, 'height': 900}, **how)
        )
        page = watched(opened[-1])
        return (
            visit(page, url)
            if how.get('java_script_enabled', True)
            else page.goto(url) and page
        )

    yield open_
    for context in opened:
        context.close()


@pytest.fixture(scope='module')
def reader(browser):
    "A tab in which one page is read after the other."
    context = browser.new_context(viewport={'width': 1280, 'height': 900})
    yield watched(context)
    context.close()


@functools.cache
def soup(page):
    return bs4.BeautifulSoup((SITE / page).read_text(encoding='utf-8'), 'html.parser')


@pytest.mark.parametrize('name', PAGES)
def test_a_page_loads_without_a_fault_and_fits_a_telephone(name, base, reader):
    page = reader
    page.wrong.clear()
    page.set_viewport_size({'width': 1280, 'height': 900})
    visit(page, base + name)
    assert page.wrong == []
    page.set_viewport_size({'width': 390, 'height': 844})
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
    prose = page.evaluate(
        "[...document.querySelectorAll('article :is(p, li, td, h1, h2, h3)')].map(e => { e = e.cloneNode(true); e.querySelectorAll('pre, code, mjx-container').forEach(x => x.remove()); return e.textContent }).join(' ')"
    )
    assert not re.search(r'\$\$|\\\(|\\\[|\\frac|\\hat', prose)


def test_there_is_a_page_for_everything():
    assert {f'{c}.html' for c in CHAPTERS} | {
        'index.html',
        'play.html',
        'reference.html',
        'bibliography.html',
        'search.html',
    } <= set(PAGES)
    linked = [a['href'] for a in soup('index.html').select('nav.bd-links a')]
    order = [h.removesuffix('.html') for h in linked if h[:2].isdigit()]
    assert order == CHAPTERS


def test_links_and_anchors_lead_somewhere():
    ids = {
        page: {e['id'] for e in soup(page).select('[id]')}
        | {e['name'] for e in soup(page).select('a[name]')}
        for page in PAGES
    }
    dead = []
    for page in PAGES:
        for a in soup(page).select('a[href]'):
            to, anchor = urldefrag(a['href'])
            if re.match(r'[a-z]+:', to):
                continue
            to = urljoin(page, to) if to else page
            if not (SITE / unquote(to)).is_file():
                dead.append((page, a['href']))
            elif anchor and to in ids and unquote(anchor) not in ids[to]:
                dead.append((page, a['href']))
    assert dead == []


@pytest.mark.parametrize('name', ['index', *CHAPTERS])
def test_a_chapter_can_be_opened_edited_and_downloaded(name):
    hrefs = {a['href'] for a in soup(f'{name}.html').select('a[href]')}
    repository = SETTINGS['git_url'].removeprefix('https://github.com/')
    assert (
        f'https://colab.research.google.com/github/{repository}/blob/{SETTINGS["branch"]}/nbs/{name}.ipynb'
        in hrefs
    )
    assert f'{SETTINGS["git_url"]}/edit/{SETTINGS["branch"]}/nbs/{name}.ipynb' in hrefs
    assert f'{SETTINGS["git_url"]}/blob/{SETTINGS["branch"]}/nbs/{name}.ipynb' in {
        h.replace('?plain=1', '') for h in hrefs
    }
    assert f'_sources/{name}.ipynb' in hrefs
    assert (SITE / f'_sources/{name}.ipynb').read_bytes() == (
        ROOT / f'nbs/{name}.ipynb'
    ).read_bytes()


def test_every_picture_says_what_it_shows():
    images = [(page, img) for page in PAGES for img in soup(page).select('article img')]
    assert len(images) > 15 and not [
        (page, img.get('src'))
        for page, img in images
        if len(img.get('alt', '').split()) < 8
    ]  # without one, the name of the file would stand there


def test_formulas_are_set(base, tab):
    page = tab(base + '05_factors.html')
    page.wait_for_selector('mjx-container')
    assert (
        page.locator('mjx-container').count() >= page.locator('.math').count() > 5
        and page.locator('mjx-merror').count() == 0
    )
    assert page.locator('mjx-assistive-mml').count() > 5  # for those who listen


def test_search_finds_fold_in(base, tab):
    page = tab(base + 'search.html?q=fold_in')
    page.wait_for_selector('#search-results li a')
    found = ' '.join(page.locator('#search-results li a').all_inner_texts())
    assert 'Recommender' in found and page.wrong == []


def test_dark_can_be_chosen(base, tab):
    page = tab(base + '01_frames.html', color_scheme='light')
    background = lambda: page.evaluate(
        'getComputedStyle(document.body).backgroundColor'
    )
    light = background()
    page.locator('button.theme-switch-button:visible').first.click()
    page.locator('button.theme-change-button[data-mode=dark]:visible').first.click()
    page.wait_for_timeout(500)  # colours fade
    assert page.get_attribute('html', 'data-theme') == 'dark' and background() != light
    page.goto(base + '02_encoding.html')
    assert page.get_attribute('html', 'data-theme') == 'dark'  # and is remembered


def test_the_copy_button_copies(base, tab):
    page = tab(base + 'index.html', permissions=['clipboard-read', 'clipboard-write'])
    block = page.locator('div.highlight', has_text='mf-movielens train').first
    block.hover()
    block.locator('button.copybtn').click()
    page.wait_for_timeout(200)
    assert (
        page.evaluate('navigator.clipboard.readText()')
        == 'pip install . && mf-movielens train'
    )


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('name', SOME)
def test_nothing_keeps_people_out(name, scheme, base, tab):
    axe = pytest.importorskip('axe_playwright_python.sync_playwright').Axe()
    page = tab(base + name, color_scheme=scheme)
    found = axe.run(page).response['violations']
    grave = [
        (
            v['id'],
            v['impact'],
            v['nodes'][0]['html'][:200],
            v['nodes'][0].get('failureSummary', '')[:300],
        )
        for v in found
        if v['impact'] in ('serious', 'critical')
    ]
    assert grave == []


def test_the_front_page_is_light_and_needs_no_script(base, tab):
    Handler.sent = 0
    tab(base + 'index.html').wait_for_load_state('networkidle')
    assert 0 < Handler.sent < 1_000_000
    page = tab(base + 'index.html', java_script_enabled=False)
    assert (
        page.locator('article h1').first.is_visible()
        and page.locator('article img').first.is_visible()
        and page.locator('article table').first.is_visible()
    )
    page.locator('ul.doors a', has_text='Learn').click()
    page.wait_for_load_state()
    assert page.url.endswith('00_data.html')


def test_films_are_recommended_in_the_page(base, tab, real_archive):
    "The page says what Recommender.fold_in says, but for the rounding of factors to a byte."
    from mf_movielens.data import load
    from mf_movielens.encoding import Ratings
    from mf_movielens.plots import natural_title
    from mf_movielens.recommender import Recommender

    ml = load('ml-100k')
    model = Recommender.fit(Ratings.from_frame(ml.ratings, titles=ml.titles))
    titles = json.loads((SITE / '_static/play.json').read_text(encoding='utf-8'))[
        'titles'
    ]
    mine = {'Fargo (1996)': 5, 'Titanic (1997)': 1, 'Toy Story (1995)': 4}
    theirs = (
        model.fold_in(mine, n=1682)
        .assign(title=lambda t: t.title.map(natural_title))
        .set_index('title')
        .score
    )
    page = tab(base + 'play.html')
    page.wait_for_selector('#recommended li')
    shown = page.evaluate(
        f'play.recommend(new Map(Object.entries({json.dumps(mine)}).map(([t, s]) => [play.names.get(t.toLowerCase()), s])), 500)'
    )
    scores = {titles[i]: score for i, score in shown}
    top = theirs[theirs.index.isin(scores)].head(10)
    assert (
        len(scores) == len(titles) - 3
        and max(abs(scores[t] - s) for t, s in top.items()) < 0.003
    )
    assert len({*list(scores)[:10]} & {*top.index}) >= 9
    page.fill('#film', 'godfa')
    page.press('#film', 'Enter')
    assert 'The Godfather (1972) added' in page.inner_text(
        '#play [role=status]'
    ) and 'The Godfather (1972)' in page.inner_text('#play ul.mine')
    page.fill('#film', 'no such film')
    page.press('#film', 'Enter')
    assert (
        'No film here is called' in page.inner_text('#play [role=status]')
        and page.wrong == []
    )


def test_a_point_of_the_map_has_a_name(base, tab):
    page = tab(base + 'play.html')
    page.wait_for_selector('#play svg circle')
    page.locator('#play svg circle').nth(3).hover(force=True)
    assert page.inner_text('#play .tip')
