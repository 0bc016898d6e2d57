"""Run notebooks from scratch and keep their outputs.

    python tools/run_notebooks.py [NAME ...]

This is the only way in which the committed outputs are made. Another executor would
render pictures at another size, and every file would change.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from book import NBS, read
from nbclient import NotebookClient
from nbformat import NotebookNode

from mf_movielens.data import load

# TensorFlow and Spark greet on the error stream, with times and process numbers that
# differ at every run.
GREETINGS = [
    r'[IWE]0000 .*',
    r'WARNING: All log messages.*',
    r'WARNING: Using incubator modules.*',
    r'To enable the following.*',
    r'To adjust logging level.*',
    r'Using Spark.s default log4j.*',
    r'Setting .*log level.*',
    r'\d\d/\d\d/\d\d [\d:]+ WARN .*',
    r'netlib-(blas|lapack): .*',
    r'\s*',
]
GREETING = re.compile(f'^({"|".join(GREETINGS)})$')


def is_worth_keeping(output: NotebookNode) -> bool:
    """Tell whether an output is more than a greeting."""
    if output.get('name') != 'stderr':
        return True
    return not all(GREETING.match(line) for line in output.text.splitlines())


def run(path: Path) -> None:
    """Execute one notebook in place; anything on its error stream is a failure."""
    notebook = read(path)
    NotebookClient(
        notebook,
        timeout=1200,
        kernel_name='python3',
        coalesce_streams=True,
        resources={'metadata': {'path': str(NBS)}},
    ).execute()
    errors: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type != 'code':
            continue
        cell.outputs = [o for o in cell.outputs if is_worth_keeping(o)]
        errors += [o.text for o in cell.outputs if o.get('name') == 'stderr']
    if errors:
        sys.exit('\n'.join([f'{path.name} writes to the error stream:', *errors]))
    nbformat.write(notebook, path)


def main() -> None:
    """Run the notebooks that are named, or all."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    load('ml-100k')  # outputs are made from the real data or not at all
    all_names = sorted(path.stem for path in NBS.glob('*.ipynb'))
    for name in [Path(argument).stem for argument in sys.argv[1:]] or all_names:
        print(name, flush=True)
        run(NBS / f'{name}.ipynb')
    subprocess.run(['nbdev_clean'], check=True, cwd=NBS.parent)


if __name__ == '__main__':
    main()
