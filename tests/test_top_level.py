"""The names that `import mf_movielens` offers."""

import ast
import subprocess
import sys
from pathlib import Path

import mf_movielens

SOURCE = Path(mf_movielens.__file__).read_text(encoding='utf-8')


def test_each_name_is_there_and_said_alike_for_people_and_type_checkers() -> None:
    for name in mf_movielens.__all__:
        value = getattr(mf_movielens, name)
        assert value.__module__ == f'mf_movielens.{mf_movielens._MODULES[name]}'
    imported = {
        alias.name: node.module
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith('mf_')
        for alias in node.names
    }
    modules = {n: f'mf_movielens.{m}' for n, m in mf_movielens._MODULES.items()}
    assert imported == modules
    assert sorted(imported) == sorted(mf_movielens.__all__)
    assert set(mf_movielens.__all__) <= set(dir(mf_movielens))


def test_importing_the_package_imports_little() -> None:
    code = 'import mf_movielens, sys; print("numpy" in sys.modules)'
    ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert ran.stdout.strip() == 'False'


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(mf_movielens, 'Recomender')
