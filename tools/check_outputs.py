"""Say where notebooks that were run again differ from what is committed: `python tools/check_outputs.py FOLDER`.

FOLDER holds notebooks of the same names that were run on the real data. Words must be the same, numbers nearly so:
another machine rounds otherwise. Times and sizes are no figures of the book; a cell that shows them in a table says
`#| varies: times`, and then only its words are compared. Pictures are not compared; what they show is asserted in cells.
"""

import re, sys
from pathlib import Path

from book import NBS, directive, read

NUMBER = re.compile(r'(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])')
UNIT = re.compile(r'\s*(?:s|ms|µs|MB|KB|seconds?|times|min)\b')


def texts(cell):
    "What a cell printed or showed, as text without the width of its columns."
    plain = [
        ''.join(o.get('text', ''))
        if o.output_type == 'stream'
        else o.get('data', {}).get('text/plain', '')
        for o in cell.outputs
        if o.get('name') != 'stderr'
    ]
    return re.sub(
        r'<[^>]*at 0x[0-9a-f]+>|<Figure[^>]*>',
        '<object>',
        re.sub(r'[\s\\]+|-{3,}|\.{3}', ' ', '\n'.join(plain)),
    ).strip()


def parts(text):
    "Its words, and its numbers that are neither times nor sizes."
    numbers = [
        (float(m[0].replace(',', '')), bool(UNIT.match(text, m.end())))
        for m in NUMBER.finditer(text)
    ]
    return NUMBER.sub('#', text), numbers


def differs(old, new, varies):
    "Why two texts are not the same, or None."
    (words, numbers), (new_words, new_numbers) = parts(old), parts(new)
    if words != new_words:
        return 'other words'
    if varies:
        return None
    for (a, timed), (b, _) in zip(numbers, new_numbers):
        if not timed and abs(a - b) > max(0.02 * abs(a), 0.0051):
            return f'{a:g} became {b:g}'


def main():
    folder, found, compared = Path(sys.argv[1]), [], 0
    for path in sorted(folder.glob('*.ipynb')):
        fresh = {c.id: c for c in read(path).cells}
        for n, cell in enumerate(read(NBS / path.name).cells):
            if cell.cell_type != 'code':
                continue
            if cell.source != fresh[cell.id].source:
                found.append(f'{path.stem} {n}: the code is another')
            why = differs(texts(cell), texts(fresh[cell.id]), directive(cell, 'varies'))
            compared += bool(cell.outputs)
            if why:
                found.append(
                    f'{path.stem} {n}: {why}\n  committed: {texts(cell)[:300]}\n  now:       {texts(fresh[cell.id])[:300]}'
                )
    print(f'{compared} outputs compared')
    if not compared or found:
        sys.exit(
            '\n'.join(found or ['nothing was compared'])
            + '\nRun python tools/run_notebooks.py and read what changed.'
        )


if __name__ == '__main__':
    main()
