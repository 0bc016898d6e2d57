"""Draw the picture of the page *Which model should I use?* into docs/_static.

With --check, only tell whether the committed picture is up to date.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from book import DOCS

PATH = DOCS / '_static/which_model.svg'
WIDTH, HEIGHT, LINE = 400, 636, 18
QUESTION, ANSWER, INK = '#eef2f7', '#d6ebdf', '#1f2933'


class Box(NamedTuple):
    """A rounded box: its place, its size, its colour and its lines of text."""

    x: int
    y: int
    width: int
    height: int
    colour: str
    lines: tuple[str, ...]


class Arrow(NamedTuple):
    """An arrow between two points, with a word beside it."""

    x1: int
    y1: int
    x2: int
    y2: int
    word: str


BOXES = (
    Box(90, 8, 220, 44, QUESTION, ('What do you need?',)),
    Box(
        8, 108, 184, 60, QUESTION, ('New items without ratings,', 'but with features?')
    ),
    Box(208, 108, 184, 60, QUESTION, ('Intervals, or the', 'smallest error?')),
    Box(8, 224, 184, 44, QUESTION, ('At most 10,000 items?',)),
    Box(208, 224, 184, 44, ANSWER, ('bayes',)),
    Box(208, 324, 184, 44, ANSWER, ('als',)),
    Box(8, 324, 184, 60, ANSWER, ('blend: ials and ease,', 'or ials alone, faster')),
    Box(8, 440, 184, 60, ANSWER, ('ials; blend with knn', 'if it helps')),
    Box(208, 440, 184, 60, ANSWER, ('ials or blend,', 'with item_features')),
    Box(
        60,
        566,
        280,
        60,
        ANSWER,
        ('Time to spare? tune searches', 'models and settings for you'),
    ),
)
ARROWS = (
    Arrow(150, 52, 110, 108, 'a list of items'),
    Arrow(250, 52, 290, 108, 'a rating'),
    Arrow(300, 168, 300, 224, 'yes'),
    Arrow(100, 168, 100, 224, 'no'),
    Arrow(100, 268, 100, 324, 'yes'),
    Arrow(300, 500, 250, 566, ''),
    Arrow(100, 500, 150, 566, ''),
)
# Ways around other boxes
BENDS = (
    ('M 392 138 L 398 138 L 398 346 L 394 346', 'no', 374, 300),
    ('M 8 246 L 3 246 L 3 470 L 6 470', 'no', 12, 414),
    ('M 192 138 L 200 138 L 200 470 L 206 470', 'yes', 170, 414),
)


def drawn_box(box: Box) -> str:
    """Return a box with its text, centred."""
    middle = box.x + box.width / 2
    top = box.y + box.height / 2 - LINE * (len(box.lines) - 1) / 2 + 5
    texts = [
        f'<text x="{middle:g}" y="{top + LINE * k:g}">{line}</text>'
        for k, line in enumerate(box.lines)
    ]
    return (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" '
        f'rx="8" fill="{box.colour}" stroke="{INK}"/>' + ''.join(texts)
    )


def drawn_arrow(arrow: Arrow) -> str:
    """Return an arrow, with its word on the right of its middle."""
    x, y = (arrow.x1 + arrow.x2) / 2 + 8, (arrow.y1 + arrow.y2) / 2 + 5
    return (
        f'<path d="M {arrow.x1} {arrow.y1} L {arrow.x2} {arrow.y2 - 2}"/>'
        f'<text class="word" x="{x:g}" y="{y:g}">{arrow.word}</text>'
    )


def picture() -> str:
    """Return the picture as SVG."""
    bends = [
        f'<path d="{path}"/><text class="word" x="{x}" y="{y}">{word}</text>'
        for path, word, x, y in BENDS
    ]
    style = (
        f'text{{font:14px sans-serif;fill:{INK};text-anchor:middle}}'
        '.word{text-anchor:start;font-style:italic}'
        f'path{{stroke:{INK};fill:none;marker-end:url(#tip)}}'
    )
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" '
        f'style="fill:{INK};marker-end:none;stroke:none"/></marker>'
    )
    parts = [*map(drawn_arrow, ARROWS), *bends, *map(drawn_box, BOXES)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}"><style>{style}</style><defs>{tip}</defs>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        + '\n'.join(parts)
        + '</svg>\n'
    )


def main() -> None:
    """Write the picture, or compare it."""
    if '--check' not in sys.argv[1:]:
        PATH.write_text(picture(), encoding='utf-8')
    elif PATH.read_text(encoding='utf-8') != picture():
        sys.exit(f'{PATH.name} is out of date: python tools/make_decision.py')


if __name__ == '__main__':
    main()
