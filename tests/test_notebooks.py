"""Rules for every notebook: its first and last cells, its paths, and its assertions."""

import ast
import re
import sys
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
from book import NBS, directive, read, settings

NAMES = sorted(p.stem for p in NBS.glob('*.ipynb'))
CHAPTERS = [name for name in NAMES if name != 'index']

COLAB_CELL = """#| hide
import sys

if 'google.colab' in sys.modules:
    # On Colab: install the package, and keep the numpy that is already there.
    import numpy  # noqa: F401

    %pip install -q "numpy=={{numpy.__version__}}" "{package} @ git+{url}@{branch}\""""
# the repository, this machine, or files beside the notebooks
OUTSIDE_PATH = r"""['"](?:\.\./nbs|/(?:home|root|work|usr)/|results/|images/)[^'"]*"""


@cache
def cells_of(name):
    """The cells of a notebook."""
    return read(NBS / f'{name}.ipynb').cells


def code_of(name):
    """The sources of the code cells of a notebook."""
    return [cell.source for cell in cells_of(name) if cell.cell_type == 'code']


@pytest.mark.parametrize('name', NAMES)
def test_the_first_cell_installs_the_package_on_colab_only(name):
    config = settings()
    expected = COLAB_CELL.format(
        package=config['lib_name'], url=config['git_url'], branch=config['branch']
    )
    assert code_of(name)[0] == expected


@pytest.mark.parametrize('name', NAMES)
def test_nothing_depends_on_the_checkout(name):
    assert re.findall(OUTSIDE_PATH, '\n'.join(code_of(name))) == []


@pytest.mark.parametrize('name', CHAPTERS)
def test_a_chapter_begins_with_title_and_subtitle_and_ends_with_links(name):
    cells = cells_of(name)
    assert re.match(r'# .+\n\n> .+\n\n', cells[0].source)
    assert '## Where to go next' in '\n'.join(cell.source for cell in cells[-3:])


@pytest.mark.parametrize(
    'committed, now, spread',
    [
        ('rmse 0.9062 in 1.3 s', 'rmse 0.9063 in 9.1 s', None),
        ('nDCG 0.3740', 'nDCG 0.3739', None),
        ('64409.8156', '64409.8157', None),
        ('predicted 3.39', 'predicted 3.40', None),
        ('residual 2.9e-07', 'residual 3.0e-07', None),
        ('1,682 films', '1,682 films', None),
        ('rmse 0.9062', 'rmse 0.9103', '0.004'),
        ('rmse 0.906', 'rmse 0.901', '0.004'),
        ('940 lists', '942 lists', '2'),
        ('score 0.2208099365', 'score 0.2208099663', '1e-6'),
    ],
)
def test_what_a_processor_changes_in_an_output_is_tolerated(committed, now, spread):
    from check_outputs import differs

    assert differs(committed, now, None, spread) is None


@pytest.mark.parametrize(
    'committed, now, spread, reason',
    [
        ('rmse 0.9062 in 1 s', 'rmse 0.9064 in 1 s', None, '0.9062 became 0.9064'),
        ('RMSE 0.906', 'RMSE 0.908', None, '0.906 became 0.908'),
        ('64409.8157', '64409.8159', None, '64409.8157 became 64409.8159'),
        ('predicted 3.39', 'predicted 3.37', None, '3.39 became 3.37'),
        ('residual 2.9e-07', 'residual 3.1e-07', None, '2.9E-7 became 3.1E-7'),
        ('1,682 films', '1,683 films', None, '1682 became 1683'),
        ('rank 3', 'rank 4', None, '3 became 4'),
        ('rmse 0.9062', 'rmse 0.9104', '0.004', '0.9062 became 0.9104'),
        ('rmse 0.906', 'rmse 0.900', '0.004', '0.906 became 0.900'),
        ('940 lists', '943 lists', '2', '940 became 943'),
        ('ten films', 'nine films', '2', 'other words'),
    ],
)
def test_a_committed_output_that_is_no_longer_true_is_found(
    committed, now, spread, reason
):
    from check_outputs import differs

    assert differs(committed, now, None, spread) == reason


def moved(text, number, distance):
    """A text in which one number is larger by a distance."""
    from check_outputs import NUMBER

    found = NUMBER.match(text, number.start)
    sign = '+' if found[0][0] in '+-' else ''
    larger = f'{number.value + distance:{sign}}'.lower()
    return text[: found.start()] + larger + text[found.end() :]


@pytest.mark.parametrize('name', NAMES)
def test_a_drift_of_any_figure_is_found_from_its_tolerance_on(name):
    from check_outputs import differs, parts, texts, tolerance

    for cell in cells_of(name):
        if cell.cell_type != 'code' or directive(cell, 'varies'):
            continue
        spread, text = directive(cell, 'spread'), texts(cell)
        figures = [number for number in parts(text)[1] if not number.has_unit]
        assert figures or not spread, 'a spread of nothing'
        # twenty of a long table will do
        for figure in figures[:: len(figures) // 20 + 1]:
            last_digit = Decimal(1).scaleb(int(figure.value.as_tuple().exponent))
            allowed = tolerance(figure, text, spread)
            assert differs(text, moved(text, figure, allowed), None, spread) is None
            further = moved(text, figure, allowed + last_digit)
            assert differs(text, further, None, spread), f'{cell.id}: {figure}'


def test_a_spread_may_hold_from_a_word_on():
    from check_outputs import differs

    spread = '0.004 from bayes on'
    assert (
        differs('als 0.906 bayes 0.870', 'als 0.906 bayes 0.875', None, spread) is None
    )
    assert differs('als 0.906 bayes 0.870', 'als 0.906 bayes 0.876', None, spread)
    assert differs('als 0.906 bayes 0.870', 'als 0.908 bayes 0.870', None, spread)
    with pytest.raises(ValueError, match='nor one from a word on'):
        differs('als 0.906', 'als 0.907', None, 'a little')


def test_only_the_words_of_a_table_of_times_are_compared():
    from check_outputs import differs

    assert differs('ALS 1.0', 'ALS 7.0', 'times') is None
    assert differs('ALS 1.0', 'EASE 1.0', 'times') == 'other words'


CLOCKS = {'perf_counter', 'perf_counter_ns', 'process_time', 'monotonic', 'timeit'}
TIMES = CLOCKS | {'seconds', 'took', 'elapsed'}


def identifiers(node):
    """Every name and attribute that occurs in a piece of code."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


def bound_names(statement):
    """The names that a statement binds, and the lists that it appends to."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    found = {
        part.id
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }
    return found | {
        part.func.value.id
        for part in ast.walk(statement)
        if isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and part.func.attr == 'append'
        and isinstance(part.func.value, ast.Name)
    }


def assertions_of_time(code):
    """Asserted comparisons with something that a clock measured."""
    simple = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.FunctionDef)
    nodes = list(ast.walk(ast.parse(code)))
    statements = [node for node in nodes if isinstance(node, simple)]
    measured, n_before = set(TIMES), 0
    while len(measured) > n_before:
        n_before = len(measured)
        for statement in statements:
            source = getattr(statement, 'value', None) or statement
            if measured & {*identifiers(source)}:
                measured |= bound_names(statement)
    asserted = [node.test for node in nodes if isinstance(node, ast.Assert)]
    return [
        ast.unparse(part)
        for test in asserted
        for part in ast.walk(test)
        if isinstance(part, ast.Compare) and measured & {*identifiers(part)}
    ]


@pytest.mark.parametrize(
    'code, found',
    [
        ('start = perf_counter()\nassert perf_counter() - start < 1', True),
        ('a = time.process_time()\nb = 2 * a\nassert x == 1 and b < 20', True),
        ('def f():\n  return monotonic()\nassert f() < 3', True),
        ('s = []\nfor x in y:\n  s.append(perf_counter())\nassert median(s) < 2', True),
        ('start = perf_counter()\nprint(perf_counter() - start)\nassert x < 1', False),
    ],
)
def test_an_assertion_of_time_is_found(code, found):
    assert bool(assertions_of_time(code)) == found


@pytest.mark.parametrize('name', NAMES)
def test_no_cell_asserts_seconds(name):
    """A machine may be busy: speed is measured in `benchmarks/`, and shown."""
    for source in code_of(name):
        has_magic = re.search(r'^\s*[%!]', source, re.M)
        assert has_magic or not assertions_of_time(source)


def test_no_test_asserts_seconds():
    for path in sorted(Path(__file__).parent.glob('test_*.py')):
        for part in ast.parse(path.read_text()).body:
            assert not assertions_of_time(ast.unparse(part)), path.name


@pytest.mark.parametrize('name', NAMES)
def test_no_line_of_code_is_wider_than_88_columns(name):
    """Alternative texts of figures and the line that installs on Colab may be."""
    lines = [line for source in code_of(name) for line in source.splitlines()]
    may_be_wide = re.compile(r'#\| fig-alt:|    %pip install')
    wide_lines = [line for line in lines if len(line) > 88]
    assert [line for line in wide_lines if not may_be_wide.match(line)] == []
