"""Write README.md from nbs/index.ipynb; with --check, only say whether it is up to date."""
import re, sys
from configparser import ConfigParser
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
HIDDEN = re.compile(r'^#\|\s*(hide|default_exp|export)', re.M)


def addresses():
    "Where the repository shows a file, and where it serves one; from settings.ini."
    config = ConfigParser(delimiters=['='])
    config.read(ROOT / 'settings.ini', encoding='utf-8')
    s = config['DEFAULT']
    raw = s['git_url'].replace('github.com', 'raw.githubusercontent.com')
    return f'{s["git_url"]}/blob/{s["branch"]}', f'{raw}/{s["branch"]}'


def shown(cell):
    "The cell; of one that hides its code, only the Markdown that it makes."
    if '#| echo: false' not in cell.source: return cell
    return nbformat.v4.new_markdown_cell('\n'.join(o.data['text/markdown'] for o in cell.outputs))


def readme():
    "The text; links are made absolute, so that it also reads well on a package index."
    nb = nbformat.read(ROOT / 'nbs' / 'index.ipynb', as_version=4)
    nb.cells = [shown(c) for c in nb.cells if not HIDDEN.search(c.source)]
    for c in nb.cells:
        c.source = re.sub(r'^#\|.*\n', '', c.source, flags=re.M)
        for output in c.get('outputs', []): output.get('data', {}).pop('text/html', None)  # package indexes strip style sheets and show their text
    nb.metadata['language_info'] = {'name': 'python'}
    text, _ = MarkdownExporter().from_notebook_node(nb)
    blob, raw = addresses()
    text = re.sub(r'(!\[[^\]]*\]\()(images/)', rf'\1{raw}/nbs/\2', text)
    text = re.sub(r'(\]\()(?!https?:|#)(?:\.\./)([^)]+\))', rf'\1{blob}/\2', text)
    text = re.sub(r'(\]\()(?!https?:|#)([^)/]+\.ipynb\))', rf'\1{blob}/nbs/\2', text)
    return '<!-- made from nbs/index.ipynb by tools/make_readme.py -->\n\n' + text.strip() + '\n'


def main():
    path, text = ROOT / 'README.md', readme()
    if '--check' not in sys.argv: path.write_text(text, encoding='utf-8')
    elif not path.exists() or path.read_text(encoding='utf-8') != text:
        sys.exit('README.md is not what nbs/index.ipynb says: run python tools/make_readme.py')


if __name__ == '__main__': main()
