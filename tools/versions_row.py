"""Describe a run of the suite that passed as one line of CSV.

    python tools/versions_row.py lowest|newest NOTEBOOKS_LOG PYTEST_LOG [--write]

With --write the line goes into the package's versions.csv, in the place of an older
one on the same Python and versions. Rows of another commit go: the table describes one.
"""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from book import PACKAGE, ROOT

sys.path.insert(0, str(ROOT / 'benchmarks'))
from commit import commit

PATH = PACKAGE / 'results/versions.csv'
PACKAGES = ['tensorflow', 'keras', 'numpy', 'pandas', 'scipy', 'matplotlib', 'pyarrow']

Row = dict[str, str]


def row(requirements: str, notebooks: str, tests: str) -> Row:
    """Return what ran; the logs are those of nbdev_test --timing and of pytest -q."""
    n_notebooks = len(re.findall(r'^\S+\.ipynb: \d+ secs$', notebooks, re.M))
    *_, last = re.findall(r'^(?=.*\bpassed\b).* in \d.*$', tests, re.M)
    counts = {kind: n for n, kind in re.findall(r'(\d+) (passed|skipped)', last)}
    return {
        'python': platform.python_version(),
        'requirements': requirements,
        **{package: version(package) for package in PACKAGES},
        'notebooks': str(n_notebooks),
        'tests': counts['passed'],
        'skipped': counts.get('skipped', '0'),
        'commit': commit(),
    }


def python_and_requirements(entry: Row) -> tuple[list[int], str]:
    """Return what identifies a row: the version of Python, and lowest or newest."""
    numbers = [int(number) for number in entry['python'].split('.')[:2]]
    return numbers, entry['requirements']


def merged(old: list[Row], new: Row) -> list[Row]:
    """Return the rows of the new one's commit with it, in order of Python's version."""
    key = python_and_requirements
    same_commit = [entry for entry in old if entry.get('commit') == new['commit']]
    others = [entry for entry in same_commit if key(entry) != key(new)]
    return sorted([*others, new], key=key)


def main() -> None:
    """Print the row, and write it if asked to."""
    requirements, *logs = sys.argv[1:4]
    notebooks, tests = (Path(log).read_text(encoding='utf-8') for log in logs)
    new = row(requirements, notebooks, tests)
    print(','.join(new.values()))
    if '--write' not in sys.argv:
        return
    old = pd.read_csv(PATH, dtype=str).to_dict('records') if PATH.exists() else []
    pd.DataFrame(merged(old, new)).to_csv(PATH, index=False)


if __name__ == '__main__':
    main()
