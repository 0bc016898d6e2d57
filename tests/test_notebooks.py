"What holds for every notebook: how it begins on Colab, and where it may look."

import re, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
from book import NBS, read, settings

NAMES = sorted(p.stem for p in NBS.glob('*.ipynb'))


@pytest.mark.parametrize('name', NAMES)
def test_the_first_cell_gets_the_package_on_colab_alone(name):
    s = settings()
    first = next(
        c for c in read(NBS / f'{name}.ipynb').cells if c.cell_type == 'code'
    ).source
    assert first == (
        '#| hide\nimport sys\n\n'
        "if 'google.colab' in sys.modules:\n"
        '    # On Colab: install the package, and keep the numpy that is already there.\n'
        '    import numpy\n\n'
        '    %pip install -q "numpy=={numpy.__version__}" '
        f'"{s["lib_name"]} @ git+{s["git_url"]}@{s["branch"]}"'
    )


@pytest.mark.parametrize('name', NAMES)
def test_nothing_depends_on_the_checkout(name):
    source = '\n'.join(
        c.source for c in read(NBS / f'{name}.ipynb').cells if c.cell_type == 'code'
    )
    assert not re.findall(
        r"""['"](?:\.\./nbs|/(?:home|root|work|usr)/|results/|images/)[^'"]*""", source
    )


@pytest.mark.parametrize('name', [n for n in NAMES if n != 'index'])
def test_a_chapter_begins_and_ends_as_chapters_do(name):
    cells = read(NBS / f'{name}.ipynb').cells
    assert re.match(
        r'# .+\n\n> .+\n\n', cells[0].source
    ) and '## Where to go next' in '\n'.join(c.source for c in cells[-3:])


def test_a_committed_output_that_is_no_longer_true_is_found():
    from check_outputs import differs

    assert differs('rmse 0.9062 in 1.3 s', 'rmse 0.9063 in 9.1 s', None) is None
    assert (
        differs('rmse 0.9062 in 1.3 s', 'rmse 0.9462 in 1.3 s', None)
        == '0.9062 became 0.9462'
    )
    assert (
        differs('1,682 films', '1,782 films', None)
        and differs('ten films', 'nine films', 'times')
        and not differs('a 1.0', 'a 7.0', 'times')
    )
