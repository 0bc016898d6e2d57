"""Rules for every notebook: its first and last cells, its paths, and its assertions."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
from book import NBS, read, settings

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
    'committed, now',
    [
        ('rmse 0.9062 in 1.3 s', 'rmse 0.9069 in 9.1 s'),
        ('nDCG 0.3740', 'nDCG 0.3728'),
        ('64409.8156', '64409.8157'),
        ('predicted 3.39', 'predicted 3.35'),
        ('probability 0.42', 'probability 0.41'),
        ('1,682 films', '1,682 films'),
        ('940 lists', '941 lists'),
    ],
)
def test_what_a_processor_changes_in_an_output_is_tolerated(committed, now):
    from check_outputs import differs

    assert differs(committed, now, None) is None


@pytest.mark.parametrize(
    'committed, now, reason',
    [
        ('rmse 0.9062 in 1.3 s', 'rmse 0.9090 in 1.3 s', '0.9062 became 0.9090'),
        ('RMSE 0.906', 'RMSE 0.924', '0.906 became 0.924'),
        ('nDCG 0.4226', 'nDCG 0.4246', '0.4226 became 0.4246'),
        ('costs 0.0096', 'costs 0.0076', '0.0096 became 0.0076'),
        ('64409.8157', '64500.8157', '64409.8157 became 64500.8157'),
        ('predicted 3.39', 'predicted 3.31', '3.39 became 3.31'),
        ('1,682 films', '1,700 films', '1682 became 1700'),
        ('rank 3', 'rank 4', '3 became 4'),
        ('ten films', 'nine films', 'other words'),
    ],
)
def test_a_committed_output_that_is_no_longer_true_is_found(committed, now, reason):
    from check_outputs import differs

    assert differs(committed, now, None) == reason


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
