"What the tools need to know of the book: its addresses, from settings.ini, its chapters, and which cells are plumbing."

import re
from configparser import ConfigParser
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / 'nbs'
HIDDEN = re.compile(r'^#\|\s*(hide|default_exp)', re.M)
PARTS = {
    'Ratings': range(0, 5),
    'Five arrays': range(5, 10),
    'Lists': range(10, 12),
    'How sure?': range(12, 15),
    'In use': range(15, 100),
}


def settings():
    "settings.ini, and what follows from it: `blob`, where the repository shows a file, and `raw`, where it serves one."
    config = ConfigParser(delimiters=['='])
    config.read(ROOT / 'settings.ini', encoding='utf-8')
    s = dict(config['DEFAULT'])
    raw = s['git_url'].replace('github.com', 'raw.githubusercontent.com')
    return s | {
        'blob': f'{s["git_url"]}/blob/{s["branch"]}',
        'raw': f'{raw}/{s["branch"]}',
        'site': s['doc_host'] + s['doc_baseurl'],
    }


def chapters():
    "The paths of the numbered notebooks, in reading order."
    return sorted(NBS.glob('[0-9]*.ipynb'))


def read(path):
    return nbformat.read(path, as_version=4)


def directive(cell, name):
    "What stands behind `#| name:` in a cell, or None."
    found = re.search(rf'^#\|\s*{name}\s*:\s*(.*)$', cell.source, re.M)
    return found and found[1].strip()


def without_directives(source):
    return re.sub(r'^#\|.*\n?', '', source, flags=re.M)


def shown(cell):
    "The cell; of one that hides its code, only the Markdown that it makes."
    if directive(cell, 'echo') != 'false':
        return cell
    return nbformat.v4.new_markdown_cell(
        '\n'.join(o.data['text/markdown'] for o in cell.outputs)
    )
