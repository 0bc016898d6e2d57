"""Compare what is installed with known vulnerabilities: `python tools/audit.py FOLDER`.

FOLDER is a `site-packages`; pip-audit has to be installed. Where no service that knows
of vulnerabilities can be reached, that is printed and is no error; on GitHub it is one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

PIP_AUDIT = [sys.executable, '-m', 'pip_audit', '-f', 'json']


def vulnerabilities(package: dict[str, Any]) -> list[str]:
    """Return a line for each known vulnerability of a package."""
    name = f'{package["name"]} {package["version"]}'
    lines = []
    for known in package['vulns']:
        fixed_in = ', '.join(known['fix_versions']) or 'no version yet'
        lines.append(f'{name}: {known["id"]}, fixed in {fixed_in}')
    return lines


def main() -> None:
    """Look the packages up, and exit with what is known of them."""
    command = [*PIP_AUDIT, '--progress-spinner', 'off', '--path', sys.argv[1]]
    done = subprocess.run(command, capture_output=True, text=True)
    is_json = done.stdout.startswith('{')
    packages = json.loads(done.stdout)['dependencies'] if is_json else []
    known = [package for package in packages if 'skip_reason' not in package]
    found = [line for package in known for line in vulnerabilities(package)]
    if found:
        sys.exit('\n'.join(['known vulnerabilities:', *found]))
    if known:
        skipped = [p['name'] for p in packages if p not in known]
        print(f'{len(known)} packages without known vulnerabilities')
        print(f'not looked up: {", ".join(skipped) or "none"}')
        return
    message = 'SKIPPED: nothing can be looked up here'
    if done.stderr.strip():
        message += f': {done.stderr.strip().splitlines()[-1][:200]}'
    if os.environ.get('GITHUB_ACTIONS'):
        sys.exit(message)
    print(message)


if __name__ == '__main__':
    main()
