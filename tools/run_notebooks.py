"""Run notebooks from scratch and keep their outputs: `python tools/run_notebooks.py [NAME ...]`.

This is the only way in which the committed outputs are made. Another executor would render
pictures at another size, and every file would change.
"""

import os, re, subprocess, sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from mf_movielens.data import load

NBS = Path(__file__).resolve().parent.parent / 'nbs'
# TensorFlow and Spark greet on the error stream, with times and process numbers that differ at every run.
GREETING = re.compile(
    r'^([IWE]0000 .*|WARNING: All log messages.*|To enable the following.*|WARNING: Using incubator modules.*|Using Spark.s default log4j.*'
    r'|Setting .*log level.*|To adjust logging level.*|\d\d/\d\d/\d\d [\d:]+ WARN .*|netlib-(blas|lapack): .*|\s*)$'
)


def is_worth_keeping(output):
    "Whether an output is more than TensorFlow's greeting."
    if output.get('name') != 'stderr':
        return True
    return not all(GREETING.match(line) for line in output.text.splitlines())


def run(path):
    "Execute one notebook in place; anything on its error stream counts as a failure."
    nb = nbformat.read(path, as_version=4)
    NotebookClient(
        nb,
        timeout=1200,
        kernel_name='python3',
        coalesce_streams=True,
        resources={'metadata': {'path': str(NBS)}},
    ).execute()
    noise = []
    for cell in nb.cells:
        if cell.cell_type != 'code':
            continue
        cell.outputs = [o for o in cell.outputs if is_worth_keeping(o)]
        noise += [o.text for o in cell.outputs if o.get('name') == 'stderr']
    if noise:
        sys.exit(f'{path.name} writes to the error stream:\n' + '\n'.join(noise))
    nbformat.write(nb, path)


def main():
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    load('ml-100k')  # outputs are made from the real data or not at all
    names = [Path(n).stem for n in sys.argv[1:]] or sorted(
        p.stem for p in NBS.glob('*.ipynb')
    )
    for name in names:
        print(name, flush=True)
        run(NBS / f'{name}.ipynb')
    subprocess.run(['nbdev_clean'], check=True, cwd=NBS.parent)


if __name__ == '__main__':
    main()
