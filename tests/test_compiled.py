"Loops that are compiled: what is said, where code is kept, and what if it cannot be."

import os
import pty
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from mf_movielens.compiled import CompiledLoop, compiled, compiler_cache
from mf_movielens.least_squares import Regularization, refit_rows

PROGRAM = """
import numpy as np
from scipy.sparse import csr_array
from mf_movielens.least_squares import Regularization, refit_rows

users = np.zeros((1, 1), 'float32')
targets = csr_array([[1.0, 2.0]])
refit_rows(users, targets, np.ones((2, 1), 'float32'), Regularization(0.5, 0))
print(users[0, 0].round(4))
"""


def run(cache, **variables):
    "Refit one row in a new process without a terminal: what it prints, and errors."
    environment = os.environ | {'NUMBA_CACHE_DIR': str(cache)} | variables
    command = [sys.executable, '-c', PROGRAM]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def output_in_a_terminal(cache):
    "What the same program prints in a terminal."
    environment = os.environ | {'NUMBA_CACHE_DIR': str(cache)}
    here, there = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, '-c', PROGRAM],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=there,
        stderr=there,
    )
    os.close(there)
    text = b''
    while True:
        try:
            part = os.read(here, 4096)
        except OSError:
            # Linux ends a closed terminal in this way.
            break
        if not part:
            break
        text += part
    os.close(here)
    assert child.wait() == 0
    return text.decode()


def test_compiling_is_told_once_on_a_machine(tmp_path):
    first = output_in_a_terminal(tmp_path)
    assert first.count('compiling, once on this machine') == 1
    assert '1.0' in first
    assert any(tmp_path.rglob('*.nbi'))
    assert 'compiling' not in output_in_a_terminal(tmp_path)


def test_without_a_terminal_nothing_is_said(tmp_path):
    child = run(tmp_path)
    assert (child.stdout, child.stderr) == ('1.0\n', '')


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    file = tmp_path / 'file'
    file.touch()
    child = run(file / 'folder')
    assert (child.stdout, child.stderr) == ('1.0\n', '')


def test_without_compiling_a_warning_says_why_it_is_slow(tmp_path):
    child = run(tmp_path, NUMBA_DISABLE_JIT='1')
    assert child.stdout == '1.0\n'
    assert child.stderr.count('NUMBA_DISABLE_JIT is set') == 1
    assert 'remove the variable' in child.stderr


def test_code_is_kept_in_the_users_cache_or_where_the_variable_says(monkeypatch):
    monkeypatch.delenv('NUMBA_CACHE_DIR', raising=False)
    assert compiler_cache().parts[-2:] == ('mf_movielens', 'compiled')
    monkeypatch.setenv('NUMBA_CACHE_DIR', 'here')
    assert compiler_cache() == Path('here').absolute()


def test_a_numba_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'numba', None)
    with pytest.raises(ImportError, match='pip install --force-reinstall numba'):
        compiled(lambda: 1)()


def test_threads_that_come_first_together_compile_once(monkeypatch):
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from numba import config

    monkeypatch.setattr(config, 'CACHE_DIR', 'of somebody else')

    @compiled
    def double(x):
        return 2 * x

    barrier = Barrier(8)

    def find(_):
        barrier.wait()
        return id(double.dispatcher), double(3)

    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(find, range(8)))
    assert found == {(id(double.dispatcher), 6)}
    assert config.CACHE_DIR == 'of somebody else'


def test_settings_of_numba_stay_what_they_were(monkeypatch):
    from numba import config

    monkeypatch.setattr(config, 'CACHE_DIR', 'of somebody else')

    @compiled
    def double(x):
        return 2 * x

    assert double(2) == 4
    assert config.CACHE_DIR == 'of somebody else'


def test_the_function_itself_stays_at_hand():
    @compiled
    def double(x):
        "Twice."
        return 2 * x

    assert isinstance(double, CompiledLoop)
    assert double.function(3) == 6
    assert (double.__name__, double.__doc__) == ('double', 'Twice.')


def test_compiled_and_uncompiled_loops_agree(monkeypatch):
    """The engine as Python runs it gives what the compiled one gives."""
    rng = np.random.default_rng(0)
    targets = csr_array(rng.normal(size=(7, 9)) * (rng.random((7, 9)) < 0.6))
    other = rng.normal(size=(9, 3)).astype('float32')
    weights = Regularization(0.1, 1, bias_reg=0.2)
    fast, slow = np.zeros((2, 7, 3), 'float32')
    refit_rows(fast, targets, other, weights)
    from mf_movielens import least_squares

    loops = {
        n: v for n, v in vars(least_squares).items() if isinstance(v, CompiledLoop)
    }
    assert len(loops) == 5
    for name, loop in loops.items():
        monkeypatch.setattr(least_squares, name, loop.function)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        refit_rows(slow, targets, other, weights)
    np.testing.assert_allclose(fast, slow, rtol=1e-5, atol=1e-6)
