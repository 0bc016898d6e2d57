"""The examples in docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PACKAGE = Path(__file__).resolve().parent.parent / 'mf_movielens'
MODULES = sorted(p.stem for p in PACKAGE.glob('*.py') if not p.stem.startswith('_'))
# An example that reads or writes files is marked with `doctest: +SKIP`.
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize('module', MODULES)
def test_examples(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {'np': np, 'pd': pd}
    found = importlib.import_module(f'mf_movielens.{module}')
    results = doctest.testmod(found, extraglobs=names, optionflags=OPTIONS)
    assert results.failed == 0
    assert not list(tmp_path.iterdir())
