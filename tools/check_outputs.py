"""Find where notebooks that were run again differ from what is committed.

    python tools/check_outputs.py FOLDER

FOLDER holds notebooks of the same names that were run on the real data. Words must be
the same, numbers nearly so: another processor rounds otherwise, and samples of a Markov
chain drift apart. See `tolerance`. Times and sizes are no figures of the book; a cell
that shows them in a table says `#| varies: times`, and one whose numbers are made of
few samples `#| varies: samples`: then only its words are compared. Pictures are not
compared; what they show is asserted in cells.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from book import NBS, directive, read
from nbformat import NotebookNode

NUMBER = re.compile(r'(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])')
UNIT = re.compile(r'\s*(?:s|ms|µs|MB|KB|seconds?|times|min)\b')
OBJECT = re.compile(r'<[^>]*at 0x[0-9a-f]+>|<Figure[^>]*>')
SPACE = re.compile(r'[\s\\]+|-{3,}|\.{3}')

Number = tuple[Decimal, bool]


def output_text(output: NotebookNode) -> str:
    """Return an output as plain text."""
    if output.output_type == 'stream':
        return str(output.get('text', ''))
    return str(output.get('data', {}).get('text/plain', ''))


def texts(cell: NotebookNode) -> str:
    """Return what a cell printed or showed, without the width of its columns."""
    outputs = [o for o in cell.outputs if o.get('name') != 'stderr']
    text = '\n'.join(map(output_text, outputs))
    return OBJECT.sub('<object>', SPACE.sub(' ', text)).strip()


def parts(text: str) -> tuple[str, list[Number]]:
    """Return the words of a text, and its numbers, each with whether it has a unit."""
    numbers = [
        (Decimal(found[0].replace(',', '')), bool(UNIT.match(text, found.end())))
        for found in NUMBER.finditer(text)
    ]
    return NUMBER.sub('#', text), numbers


def tolerance(number: Decimal) -> float:
    """Return how far a number may move, by the decimals that it is shown with.

    On another processor, fits by least squares move by less than one in a million. What
    moves more is the mean of a hundred samples: an RMSE or nDCG by 0.001, a predicted
    rating by 0.04.
    """
    n_decimals = -int(number.as_tuple().exponent)
    size = abs(float(number))
    if n_decimals <= 0:
        # counts
        return 0.002 * size
    last_digit = 1.01 * 10**-n_decimals
    if n_decimals <= 2:
        return max(last_digit, 0.02 * size)
    return max(last_digit, 0.001 * size, 0.0015)


def differs(old: str, new: str, varies: str | None) -> str | None:
    """Return why two texts are not the same, or None."""
    words, numbers = parts(old)
    new_words, new_numbers = parts(new)
    if words != new_words:
        return 'other words'
    if varies:
        return None
    for (a, has_unit), (b, _) in zip(numbers, new_numbers):
        if not has_unit and float(abs(a - b)) > tolerance(a):
            return f'{a} became {b}'
    return None


def differences(cell: NotebookNode, fresh: NotebookNode) -> Iterator[str]:
    """Give what differs between a cell and the same one that was run again."""
    if cell.source != fresh.source:
        yield 'the code differs'
    committed, now = texts(cell), texts(fresh)
    reason = differs(committed, now, directive(cell, 'varies'))
    if reason:
        yield f'{reason}\n  committed: {committed[:300]}\n  now:       {now[:300]}'


def main() -> None:
    """Compare all, and exit with what differs."""
    n_compared, found = 0, []
    for path in sorted(Path(sys.argv[1]).glob('*.ipynb')):
        fresh = {cell.id: cell for cell in read(path).cells}
        for number, cell in enumerate(read(NBS / path.name).cells):
            if cell.cell_type != 'code':
                continue
            n_compared += bool(cell.outputs)
            for difference in differences(cell, fresh[cell.id]):
                found.append(f'{path.stem} {number}: {difference}')
    print(f'{n_compared} outputs compared')
    if found or not n_compared:
        lines = found or ['nothing was compared']
        advice = 'Run python tools/run_notebooks.py and read what changed.'
        sys.exit('\n'.join([*lines, advice]))


if __name__ == '__main__':
    main()
