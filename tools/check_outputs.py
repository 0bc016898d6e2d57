"""Find where notebooks that were run again differ from what is committed.

    python tools/check_outputs.py FOLDER

FOLDER holds notebooks of the same names that were run on the real data. Words and
whole numbers must be the same, and numbers with decimals the same to one unit of the
last digit shown: on another processor sums round otherwise. A cell whose figures move
more says how far, in their own unit, as measured over seeds or processors:
`#| spread: 0.004`, or `#| spread: 0.004 from bayes on` if only what stands behind a
word moves. Times and sizes are no figures of the book; a cell that shows them in a
table says `#| varies: times`, and only its words are compared. Pictures are not
compared; what they show is asserted in cells.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from book import NBS, directive, read
from nbformat import NotebookNode

NUMBER = re.compile(r'(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])')
UNIT = re.compile(r'\s*(?:s|ms|µs|MB|KB|seconds?|times|min)\b')
OBJECT = re.compile(r'<[^>]*at 0x[0-9a-f]+>|<Figure[^>]*>')
# the version of a model that is served, which is a digest of its file
DIGEST = re.compile(r'(?<![\w.])(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{12}\b')
SPACE = re.compile(r'[\s\\]+|-{3,}|\.{3}')

SPREAD = re.compile(r'([\d.]+(?:e-\d+)?)(?: from (.+) on)?')
EXACT = Decimal(0)


class Number(NamedTuple):
    """A number in an output."""

    value: Decimal
    has_unit: bool
    start: int


def output_text(output: NotebookNode) -> str:
    """Return an output as plain text."""
    if output.output_type == 'stream':
        return str(output.get('text', ''))
    return str(output.get('data', {}).get('text/plain', ''))


def texts(cell: NotebookNode) -> str:
    """Return what a cell printed or showed, without the width of its columns."""
    outputs = [o for o in cell.outputs if o.get('name') != 'stderr']
    text = '\n'.join(map(output_text, outputs))
    text = DIGEST.sub('<digest>', SPACE.sub(' ', text))
    return OBJECT.sub('<object>', text).strip()


def parts(text: str) -> tuple[str, list[Number]]:
    """Return the words of a text, and its numbers."""
    numbers = [
        Number(
            Decimal(found[0].replace(',', '')),
            bool(UNIT.match(text, found.end())),
            found.start(),
        )
        for found in NUMBER.finditer(text)
    ]
    return NUMBER.sub('#', text), numbers


def tolerance(number: Number, text: str, spread: str | None = None) -> Decimal:
    """Return how far a number of a text may move.

    A whole number is a count, and may move by the spread alone. Others are rounded: the
    last digit may differ by one more.
    """
    exponent = int(number.value.as_tuple().exponent)
    unit = Decimal(1).scaleb(exponent) if exponent else EXACT
    if spread is None:
        return unit
    directive = SPREAD.fullmatch(spread)
    if directive is None:
        raise ValueError(f'"#| spread: {spread}" is no number, nor one from a word on')
    if directive[2] and number.start < text.index(directive[2]):
        return unit
    return unit + Decimal(directive[1])


def differs(
    old: str, new: str, varies: str | None = None, spread: str | None = None
) -> str | None:
    """Return why two texts are not the same, or None."""
    words, numbers = parts(old)
    new_words, new_numbers = parts(new)
    if words != new_words:
        return 'other words'
    if varies:
        return None
    for a, b in zip(numbers, new_numbers):
        moved_by = abs(a.value - b.value)
        if not a.has_unit and moved_by > tolerance(a, old, spread):
            return f'{a.value} became {b.value}'
    return None


def differences(cell: NotebookNode, fresh: NotebookNode) -> Iterator[str]:
    """Give what differs between a cell and the same one that was run again."""
    if cell.source != fresh.source:
        yield 'the code differs'
    committed, now = texts(cell), texts(fresh)
    directives = [directive(cell, name) for name in ('varies', 'spread')]
    reason = differs(committed, now, *directives)
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
