"""Write README.md from nbs/index.ipynb; with --check, only say whether it is up to date."""

import re, sys

from nbconvert import MarkdownExporter

from book import HIDDEN, NBS, ROOT, read, settings, shown, without_directives


def readme():
    "The text; links are made absolute, so that it also reads well on a package index."
    nb, s = read(NBS / 'index.ipynb'), settings()
    nb.cells = [shown(c) for c in nb.cells if not HIDDEN.search(c.source)]
    for c in nb.cells:
        c.source = without_directives(c.source)
        for output in c.get('outputs', []):
            output.get('data', {}).pop(
                'text/html', None
            )  # package indexes strip style sheets and show their text
    nb.metadata['language_info'] = {'name': 'python'}
    text, _ = MarkdownExporter().from_notebook_node(nb)
    text = re.sub(r'(!\[[^\]]*\]\()(images/)', rf'\1{s["raw"]}/nbs/\2', text)
    text = re.sub(r'(\]\()(?!https?:|#)(?:\.\./)([^)]+\))', rf'\1{s["blob"]}/\2', text)
    text = re.sub(
        r'(\]\()(?!https?:|#)([^)/]+\.ipynb\))', rf'\1{s["blob"]}/nbs/\2', text
    )
    return (
        '<!-- made from nbs/index.ipynb by tools/make_readme.py -->\n\n'
        + re.sub(r'\n{4,}', '\n\n', text).strip()
        + '\n'
    )


def main():
    path, text = ROOT / 'README.md', readme()
    if '--check' not in sys.argv:
        path.write_text(text, encoding='utf-8')
    elif not path.exists() or path.read_text(encoding='utf-8') != text:
        sys.exit(
            'README.md is not what nbs/index.ipynb says: run python tools/make_readme.py'
        )


if __name__ == '__main__':
    main()
