"""Build the site in _docs: `pip install -e '.[docs]' && python tools/make_site.py`.

The chapters are the notebooks as they are committed, nothing is run. In _proc they
become pages; then Sphinx makes the site, without a network, and a warning is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zlib

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'  # before the package is imported

import nbformat
from book import DOCS, NBS, PACKAGE, ROOT, chapters, docs_pages, settings
from site_bibliography import Citations, bibliography
from site_chapters import chapter_page, docs_page, front_page, repository_text
from site_reference import write_reference

PROC, OUT = ROOT / '_proc', ROOT / '_docs'
# What the theme loads on every page for a search while typing, which is switched off
SEARCH_TOOLS = r'\s*<script src="[^"]*(searchtools|language_data|searchindex)\.js">.*'
# Pages that are nothing to find
NOT_LISTED = ('404.html', 'search.html')
MATHJAX = '3.2.2'
MATHJAX_FILES = (
    'es5/startup.js',
    'es5/core.js',
    'es5/input/tex-base.js',
    'es5/input/tex/extensions/ams.js',
    'es5/output/chtml.js',
    'es5/output/chtml/fonts/tex.js',
    'es5/output/chtml/fonts/woff-v2',
    'es5/a11y/assistive-mml.js',
    'LICENSE',
)


def write_chapters(citations: Citations) -> dict[str, str]:
    """Write the front page and the chapters into _proc, and return their titles."""
    front = NBS / 'index.ipynb'
    pages = {path: chapter_page(path, citations) for path in chapters()}
    pages[front] = front_page(front, citations)
    titles = {}
    for path, page in pages.items():
        heading = re.search(r'^# (.*)$', page.cells[0].source, re.M)
        titles[path.name] = heading[1] if heading else path.stem
        nbformat.write(page, PROC / path.name)
    return titles


def write_docs(citations: Citations) -> dict[str, str]:
    """Write the pages of docs/ into _proc, and return their titles."""
    titles = {}
    for path in docs_pages():
        text = docs_page(path, citations)
        heading = re.search(r'^# (.*)$', text, re.M)
        titles[path.name] = heading[1] if heading else path.stem
        (PROC / path.name).write_text(text, encoding='utf-8')
    return titles


def write_inventories() -> None:
    """Pack the inventories of other projects as Sphinx takes them.

    They are committed as text, so that a build needs no network and a difference can
    be read: a header of four lines, then a line for each object that we link.
    """
    for path in (PROC / '_inventories').glob('*.txt'):
        lines = path.read_bytes().splitlines(keepends=True)
        packed = zlib.compress(b''.join(lines[4:]))
        path.with_suffix('.inv').write_bytes(b''.join(lines[:4]) + packed)


def prepare() -> None:
    """Write the sources of the site into _proc."""
    shutil.rmtree(PROC, ignore_errors=True)
    shutil.copytree(DOCS, PROC)
    shutil.copytree(NBS / 'images', PROC / 'images')
    # for raw HTML, which Sphinx does not look into
    for name in ('map.png', 'map_narrow.png'):
        shutil.copy(NBS / 'images' / name, PROC / '_static')
    # the page on which films are tried has the elements of the app
    shutil.copytree(PACKAGE / 'static/widgets', PROC / '_static/widgets')
    # tables of results that a chapter links can be downloaded
    shutil.copytree(PACKAGE / 'results', PROC / 'results')
    citations: Citations = {}
    titles = write_chapters(citations) | write_docs(citations)
    pages = {
        'bibliography.md': bibliography(citations, titles),
        'contributing.md': repository_text('CONTRIBUTING.md'),
        'changelog.md': repository_text('CHANGELOG.md'),
    }
    for name, text in pages.items():
        (PROC / name).write_text(text, encoding='utf-8')
    write_inventories()
    write_reference(PROC)


def get_mathjax() -> None:
    """Bring MathJax along where npm can be had; else pages use its public address."""
    kept = DOCS / '_static/mathjax'
    if (kept / 'es5').exists() or not shutil.which('npm'):
        return
    pack = ['npm', 'pack', f'mathjax@{MATHJAX}', '--silent']
    done = subprocess.run(
        [*pack, '--pack-destination', str(ROOT)], capture_output=True, text=True
    )
    archive = ROOT / f'mathjax-{MATHJAX}.tgz'
    if done.returncode or not archive.exists():
        print('MathJax cannot be had; formulas will need the network')
        return
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            member.name = member.name.removeprefix('package/')
            if member.name.startswith(MATHJAX_FILES):
                tar.extract(member, kept, filter='data')
    archive.unlink()


def finish_signature(found: re.Match[str]) -> str:
    """Make a long signature lines, where Sphinx makes it a list without its terms."""
    lines = re.sub(r'<(/?)dd>', r'<\1span>', found[1])
    return f'<span class="sig-params">{lines}</span>'


def finish_page(text: str) -> str:
    """Do what Sphinx and the theme leave to do in a page.

    Icons come as a font and as a script, and the font is enough. What unfolds the list
    of pages has no name to be read out, a folded cell has another name than it shows,
    and a wide table cannot be reached by keys.
    """
    signature = r'<dl>\n((?:<dd><em class="sig-param">.*</dd>\n)+)</dl>'
    text = re.sub(signature, finish_signature, text)
    text = re.sub(r'<script defer src="[^"]*fontawesome\.js[^"]*"></script>', '', text)
    text = text.replace('class="dataframe">', 'class="dataframe" tabindex="0">')
    text = text.replace(
        '<summary><span class="toctree-toggle"',
        '<summary aria-label="pages below"><span class="toctree-toggle"',
    )
    return text.replace('<summary aria-label="Toggle hidden content">', '<summary>')


def anywhere(text: str) -> str:
    """Make the links of a page at the top of the site work at any address.

    GitHub shows the page 404.html for every address below that of the site.
    """
    root = settings()['doc_baseurl'] + '/'
    text = text.replace('data-content_root="./"', f'data-content_root="{root}"')
    relative = r'\b((?:href|src|srcset|action)=")(?![a-z]+:|[/#])'
    return re.sub(relative, rf'\1{root}', text)


def write_for_machines() -> None:
    """Write the list of pages for search engines, and where it is."""
    site = settings()['site']
    pages = sorted(p.relative_to(OUT).as_posix() for p in OUT.rglob('*.html'))
    urls = [
        f'  <url><loc>{site}/{"" if page == "index.html" else page}</loc></url>'
        for page in pages
        if page not in NOT_LISTED and not page.startswith('_')
    ]
    sitemap = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
        *urls,
        '</urlset>',
    ]
    (OUT / 'sitemap.xml').write_text('\n'.join(sitemap) + '\n', encoding='utf-8')
    robots = f'User-agent: *\nAllow: /\n\nSitemap: {site}/sitemap.xml\n'
    (OUT / 'robots.txt').write_text(robots, encoding='utf-8')


def finish() -> None:
    """Do what Sphinx and the theme leave to do."""
    for path in OUT.rglob('*.html'):
        text = finish_page(path.read_text(encoding='utf-8'))
        if path.name == '404.html':
            text = anywhere(text)
        if path.name != 'search.html':
            text = re.sub(SEARCH_TOOLS, '', text)
        path.write_text(text, encoding='utf-8')
    write_for_machines()
    (OUT / '_static/scripts/fontawesome.js').unlink(missing_ok=True)
    for notebook in NBS.glob('*.ipynb'):
        # what is downloaded is the notebook itself
        shutil.copy(notebook, OUT / '_sources')
    for rest in (OUT / '.doctrees', ROOT / 'jupyter_execute'):
        shutil.rmtree(rest, ignore_errors=True)
    (OUT / '.nojekyll').touch()


def main() -> None:
    """Build the site."""
    get_mathjax()
    prepare()
    shutil.rmtree(OUT, ignore_errors=True)
    sphinx = [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-j', 'auto']
    done = subprocess.run([*sphinx, str(PROC), str(OUT)])
    finish()
    if done.returncode:
        sys.exit(done.returncode)
    folder = OUT.relative_to(ROOT)
    print(f'the site is in {folder}: python -m http.server -d {folder}')


if __name__ == '__main__':
    main()
