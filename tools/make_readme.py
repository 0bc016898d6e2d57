"""Write the lists of chapters into nbs/index.ipynb, and README.md from that notebook.

With --check, only tell whether both are up to date.
"""

from __future__ import annotations

import re
import sys

import nbformat
from book import (
    HIDDEN,
    NBS,
    PATHS,
    ROOT,
    chapters_by_part,
    minutes_to_read,
    read,
    settings,
    shown,
    title_and_subtitle,
    without_directives,
)
from nbconvert import MarkdownExporter
from nbformat import NotebookNode

FRONT = NBS / 'index.ipynb'
CHAPTERS_HEADING = '## The chapters\n'
PATHS_HEADING = '## Paths through the book\n'
MADE = '<!-- made from nbs/index.ipynb by tools/make_readme.py -->\n\n'
RELATIVE = r'(\]\()(?!https?:|#)'


def chapter_list() -> str:
    """Return the list of chapters by parts, as their first lines name them."""
    lines = [CHAPTERS_HEADING]
    for part, paths in chapters_by_part().items():
        lines.append(f'**{part}**\n')
        for path in paths:
            title, subtitle = title_and_subtitle(path)
            lines.append(f'- [{title}]({path.name}): {subtitle}')
        lines.append('')
    return '\n'.join(lines).strip()


def path_list() -> str:
    """Return the list of paths through the book, with the minutes that each takes."""
    lines = [PATHS_HEADING]
    for name, stems in PATHS.items():
        paths = [NBS / f'{stem}.ipynb' for stem in stems]
        # to five minutes, so that a word more in a chapter does not change the page
        minutes = 5 * round(sum(minutes_to_read(read(p).cells) for p in paths) / 5)
        links = [f'[{title_and_subtitle(p)[0]}]({p.name})' for p in paths]
        lines.append(f'- **{name}**, {minutes} minutes to read: {" → ".join(links)}')
    return '\n'.join(lines)


def front_page() -> NotebookNode:
    """Return the front page with the lists as they should be."""
    notebook = read(FRONT)
    for heading, text in (
        (CHAPTERS_HEADING, chapter_list()),
        (PATHS_HEADING, path_list()),
    ):
        (cell,) = [c for c in notebook.cells if f'{c.source}\n'.startswith(heading)]
        cell.source = text
    return notebook


def written(notebook: NotebookNode) -> str:
    """Return the text of a notebook file, as nbdev writes it."""
    return nbformat.writes(notebook).rstrip('\n') + '\n'


def readme(notebook: NotebookNode) -> str:
    """Return the front page as Markdown.

    Links are made absolute, so that it also reads well on a package index; those strip
    style sheets and show their text, so tables are without HTML.
    """
    addresses = settings()
    cells = [shown(c) for c in notebook.cells if not HIDDEN.search(c.source)]
    for cell in cells:
        cell.source = without_directives(cell.source)
        for output in cell.get('outputs', []):
            output.get('data', {}).pop('text/html', None)
    notebook.cells = cells
    notebook.metadata['language_info'] = {'name': 'python'}
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    blob, raw = addresses['blob'], addresses['raw']
    text = re.sub(r'(!\[[^\]]*\]\()(images/)', rf'\1{raw}/nbs/\2', text)
    text = re.sub(RELATIVE + r'(?:\.\./)([^)]+\))', rf'\1{blob}/\2', text)
    text = re.sub(RELATIVE + r'([^)/]+\.ipynb\))', rf'\1{blob}/nbs/\2', text)
    return MADE + re.sub(r'\n{4,}', '\n\n', text).strip() + '\n'


def main() -> None:
    """Write both, or tell which of them is not up to date."""
    notebook = front_page()
    texts = {FRONT: written(notebook), ROOT / 'README.md': readme(notebook)}
    for path, text in texts.items():
        if path.exists() and path.read_text(encoding='utf-8') == text:
            continue
        if '--check' in sys.argv:
            sys.exit(f'{path.name} is out of date: run python tools/make_readme.py')
        path.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
