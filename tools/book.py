"""What the tools need to know of the book: its chapters, its addresses, its cells.

Addresses come from settings.ini. The site, the README and the tests read notebooks
with the functions below.
"""

from __future__ import annotations

import csv
import re
from configparser import ConfigParser
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / 'nbs'
PACKAGE = ROOT / 'mf_movielens'
DOCS = ROOT / 'docs'
HIDDEN = re.compile(r'^#\|\s*(hide|default_exp)', re.M)

# The parts of the book, and the first chapter of each
PARTS = {
    'Ratings': 0,
    'Matrix factorization': 5,
    'Top-N recommendations': 10,
    'Uncertainty': 13,
    'Applications': 16,
    'Under the hood': 89,
}

# Ways through the book, and their chapters in reading order
PATHS = {
    'Learn in an hour': [
        '00_begin',
        '05_factors',
        '09_als',
        '10_ranking',
        '12_ials',
    ],
    'Bring your own data': [
        '00_begin',
        '16_reading',
        '97b_kinds',
        '17_recommender',
        '18_new_users',
        '19_evaluation',
        '27_tuning',
    ],
    'Understand uncertainty': [
        '04_metrics',
        '05_factors',
        '13_gibbs',
        '14_bayes',
        '15_posterior',
    ],
    'Scale': [
        '22_shards',
        '93_least_squares',
        '23_spark',
        '18b_update',
        '24b_export',
        '28_serving',
    ],
}
WORDS_PER_MINUTE = 200
RUN_TIMES = ROOT / 'tools' / 'run_times.csv'


def settings() -> dict[str, str]:
    """Return settings.ini, with the addresses that follow from it.

    `blob` is where the repository shows a file, `edit` where it lets one edit a file,
    `raw` where it serves one, and `site` where the site is.
    """
    config = ConfigParser(delimiters=['='])
    config.read(ROOT / 'settings.ini', encoding='utf-8')
    found = dict(config['DEFAULT'])
    git_url, branch = found['git_url'], found['branch']
    raw_url = git_url.replace('github.com', 'raw.githubusercontent.com')
    return found | {
        'blob': f'{git_url}/blob/{branch}',
        'edit': f'{git_url}/edit/{branch}',
        'raw': f'{raw_url}/{branch}',
        'site': found['doc_host'] + found['doc_baseurl'],
    }


def chapters() -> list[Path]:
    """Return the paths of the numbered notebooks, in reading order."""
    return sorted(NBS.glob('[0-9]*.ipynb'))


def chapters_by_part() -> dict[str, list[Path]]:
    """Return the chapters of each part that has any, in reading order."""
    parts: dict[str, list[Path]] = {}
    for path in chapters():
        number = int(path.stem[:2])
        part = max((p for p in PARTS if PARTS[p] <= number), key=PARTS.__getitem__)
        parts.setdefault(part, []).append(path)
    return parts


def docs_pages() -> list[Path]:
    """Return the paths of the pages of the site that are no notebooks."""
    return sorted(DOCS.glob('*.md'))


def read(path: Path) -> NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def title_and_subtitle(path: Path) -> tuple[str, str]:
    """Return the heading of a chapter and the line that is quoted below it."""
    first = read(path).cells[0].source
    title = re.search(r'^# (.*)$', first, re.M)
    subtitle = re.search(r'^> (.*)$', first, re.M)
    return title[1] if title else path.stem, subtitle[1] if subtitle else ''


def minutes_to_read(cells: list[NotebookNode]) -> int:
    """Estimate how long the text of a page takes; code is read at another pace."""
    texts = [cell.source for cell in cells if cell.cell_type == 'markdown']
    return max(1, round(len(' '.join(texts).split()) / WORDS_PER_MINUTE))


def run_times() -> dict[str, int]:
    """Return the seconds that each chapter takes to run, by its name."""
    with RUN_TIMES.open(encoding='utf-8', newline='') as file:
        return {row['chapter']: int(row['seconds']) for row in csv.DictReader(file)}


def time_to_run(seconds: int) -> str:
    """Say how long a chapter runs; another machine may need half or twice as long."""
    if seconds < 20:
        return 'seconds to run'
    if seconds < 45:
        return 'half a minute to run'
    minutes = round(seconds / 60)
    return f'{minutes} minute{"s" if minutes > 1 else ""} to run'


def directive(cell: NotebookNode, name: str) -> str | None:
    """Return what stands behind `#| name:` in a cell, or None."""
    found = re.search(rf'^#\|\s*{name}\s*:\s*(.*)$', cell.source, re.M)
    return found[1].strip() if found else None


def is_exported(cell: NotebookNode) -> bool:
    """Tell whether nbdev writes the cell into the package."""
    return bool(re.search(r'^#\|\s*(export|exporti)\b', cell.source, re.M))


def without_directives(source: str) -> str:
    """Return the source of a cell without its `#|` lines."""
    return re.sub(r'^#\|.*\n?', '', source, flags=re.M)


def shown(cell: NotebookNode) -> NotebookNode:
    """Return the cell, or the Markdown it makes where it hides its code."""
    if directive(cell, 'echo') != 'false':
        return cell
    texts = [output.data['text/markdown'] for output in cell.outputs]
    return nbformat.v4.new_markdown_cell('\n'.join(texts))
