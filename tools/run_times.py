"""Write how long each chapter takes to run, for the line under its title.

    python tools/run_times.py FOLDER

FOLDER holds chapters as `jupyter nbconvert --execute` writes them, with the time of
each cell. `.ci/run` leaves such a folder, run on the real data: `.ci-work/again`.
"""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from pathlib import Path

from book import RUN_TIMES, chapters, read
from nbformat import NotebookNode


def seconds_to_run(notebook: NotebookNode) -> float:
    """Return the seconds from the start of the first cell to the end of the last."""
    times = [c.metadata.execution for c in notebook.cells if 'execution' in c.metadata]
    if not times:
        raise ValueError('no cell has a time; execute the notebook with nbconvert')
    start = datetime.fromisoformat(times[0]['iopub.execute_input'])
    end = datetime.fromisoformat(times[-1]['shell.execute_reply'])
    return (end - start).total_seconds()


def main(folder: Path) -> None:
    """Write the table."""
    rows = [(p.stem, seconds_to_run(read(folder / p.name))) for p in chapters()]
    with RUN_TIMES.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['chapter', 'seconds'])
        writer.writerows((name, round(seconds)) for name, seconds in rows)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
