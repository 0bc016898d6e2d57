"""Compare what is installed with known vulnerabilities: `python tools/audit.py FOLDER`.

FOLDER is a `site-packages`; pip-audit has to be installed. Two databases are asked,
that of PyPI and OSV. What could not be checked is printed, in one line each: a database
that cannot be reached, packages that a database does not know, and packages that no
database knows. Without any database nothing is checked; on GitHub that is an error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

DATABASES = ('pypi', 'osv')
PIP_AUDIT = [sys.executable, '-m', 'pip_audit', '-f', 'json']


class Answer(NamedTuple):
    """What a database says of the packages that are installed."""

    name: str
    checked: set[str]
    unknown: set[str]
    vulnerabilities: list[str]
    error: str


def vulnerabilities(package: dict[str, Any]) -> list[str]:
    """Return a line for each known vulnerability of a package."""
    name = f'{package["name"]} {package["version"]}'
    lines = []
    for known in package['vulns']:
        fixed_in = ', '.join(known['fix_versions']) or 'no version yet'
        lines.append(f'{name}: {known["id"]}, fixed in {fixed_in}')
    return lines


def ask(database: str, folder: str) -> Answer:
    """Ask a database about all packages in a folder."""
    options = ['-s', database, '--progress-spinner', 'off', '--path', folder]
    done = subprocess.run([*PIP_AUDIT, *options], capture_output=True, text=True)
    if not done.stdout.startswith('{'):
        lines = done.stderr.strip().splitlines() or ['no answer']
        return Answer(database, set(), set(), [], lines[-1])
    packages = json.loads(done.stdout)['dependencies']
    known = [package for package in packages if 'skip_reason' not in package]
    checked = {package['name'] for package in known}
    unknown = {package['name'] for package in packages} - checked
    found = [line for package in known for line in vulnerabilities(package)]
    return Answer(database, checked, unknown, found, '')


def summary(answer: Answer) -> str:
    """Return in one line what a database could and could not say."""
    if answer.error:
        return f'{answer.name}: not reached: {answer.error[-200:]}'
    n_packages = len(answer.checked | answer.unknown)
    if not answer.checked:
        return f'{answer.name}: knows none of {n_packages} packages'
    line = f'{answer.name}: {len(answer.checked)} of {n_packages} packages checked'
    if answer.unknown:
        line += f'; it does not know {", ".join(sorted(answer.unknown))}'
    return line


def main() -> None:
    """Look the packages up, and exit with what is known of them."""
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(ask, DATABASES, [sys.argv[1]] * len(DATABASES)))
    for answer in answers:
        print(summary(answer))
    found = {line for answer in answers for line in answer.vulnerabilities}
    if found:
        sys.exit('\n'.join(['known vulnerabilities:', *sorted(found)]))
    checked = set().union(*[answer.checked for answer in answers])
    unchecked = set().union(*[answer.unknown for answer in answers]) - checked
    if checked:
        names = ', '.join(sorted(unchecked)) or 'none'
        print(f'{len(checked)} packages without known vulnerabilities')
        print(f'checked in no database: {names}')
        return
    message = 'SKIPPED: no package was checked'
    if os.environ.get('GITHUB_ACTIONS'):
        sys.exit(message)
    print(message)


if __name__ == '__main__':
    main()
