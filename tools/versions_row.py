"""One line of CSV on a run of the suite that passed: `python tools/versions_row.py lowest|newest NOTEBOOKS_LOG PYTEST_LOG [--write]`.

With --write the line goes into the package's versions.csv, in the place of an older one on the same Python and versions.
"""

import platform, re, sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from book import ROOT

PATH = ROOT / 'mf_movielens/results/versions.csv'
PACKAGES = ['tensorflow', 'keras', 'numpy', 'pandas', 'scipy', 'matplotlib', 'pyarrow']


def row(requirements, notebooks, tests):
    "What ran, as text: the logs are those of nbdev_test --timing and of pytest -q."
    ran = re.findall(r'^\S+\.ipynb: \d+ secs$', notebooks, re.M)
    *_, end = re.findall(r'^(?=.*\bpassed\b).* in \d.*$', tests, re.M)
    said = {what: n for n, what in re.findall(r'(\d+) (passed|skipped)', end)}
    return {
        'python': platform.python_version(),
        'requirements': requirements,
        **{p: version(p) for p in PACKAGES},
        'notebooks': str(len(ran)),
        'tests': said['passed'],
        'skipped': said.get('skipped', '0'),
    }


def merged(old, new):
    "A table with the new row, in order of Python's version."
    key = lambda r: ([int(n) for n in r['python'].split('.')[:2]], r['requirements'])
    return sorted([r for r in old if key(r) != key(new)] + [new], key=key)


def main():
    requirements, notebooks, tests = (
        sys.argv[1],
        *(Path(p).read_text(encoding='utf-8') for p in sys.argv[2:4]),
    )
    new = row(requirements, notebooks, tests)
    print(','.join(new.values()))
    if '--write' not in sys.argv:
        return
    old = pd.read_csv(PATH, dtype=str).to_dict('records') if PATH.exists() else []
    pd.DataFrame(merged(old, new)).to_csv(PATH, index=False)


if __name__ == '__main__':
    main()
