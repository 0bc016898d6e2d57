"""Name the code that a figure was measured on."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def output_of(command: list[str]) -> str:
    """Run a command in the repository, and return what it prints."""
    run = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return run.stdout


def commit() -> str:
    """Return the commit that is checked out, with + behind it if the code differs."""
    name = output_of(['git', 'rev-parse', '--short', 'HEAD']).strip()
    code = ['mf_movielens/*.py', 'nbs', 'tests', 'benchmarks/*.py']
    changes = output_of(['git', 'status', '--porcelain', '--', *code])
    return f'{name}+' if changes else name
