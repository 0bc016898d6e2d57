"""The structure of the package: floors, names, classes and functions.

Everything here is read from the source of the modules; nothing is imported.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / 'mf_movielens'
SOURCES = {
    path.stem: path.read_text(encoding='utf-8')
    for path in sorted(PACKAGE.glob('*.py'))
    if not path.stem.startswith('_')
}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}

# A module imports from modules that come before it in this list, and from no other.
# The numbers are the floors of the house, from the foundations up.
FLOORS = {
    'validation': 0,
    'storage': 0.1,
    'archives': 0.2,
    'compiled': 0.2,
    'movielens_sets': 0.3,
    'kinds': 0.9,
    'encoding': 1,
    'unpacking': 1.1,
    'data': 1.1,
    'frames': 1.1,
    'feature_maps': 1.9,
    'least_squares': 2,
    'factors': 2.1,
    'gibbs': 2.1,
    'metrics': 3,
    'splits': 3.1,
    'ranking': 3.1,
    'baselines': 3.1,
    'posterior': 3.1,
    'file_layout': 3,
    'records': 3.1,
    'python_tables': 3.15,
    'values': 3.1,
    'reading': 3.2,
    'shards': 3.3,
    'als': 4,
    'item_weights': 3.2,
    'ials': 4,
    'ease': 4,
    'item_knn': 4.05,
    'bayes': 4,
    'model': 4,
    'training': 4.1,
    'blend': 4.15,
    'solvers': 4.2,
    'tuning': 5,
    'updating': 5.05,
    'features': 3.3,
    'catalog': 4.3,
    'similarity': 4.3,
    'rules': 4.4,
    'new_users': 5,
    'evaluation': 5,
    'model_file': 5,
    'export': 5.05,
    'recommender': 5.1,
    'plots': 5.2,
    'gate': 0.1,
    'served': 5.2,
    'api': 5.3,
    'serve': 5.4,
    'spark': 5.3,
    'workflow': 5.25,
    'cli': 6,
    'book': 7,
}
MAX_FUNCTION_LINES = 40

MODULES = sorted(SOURCES)


def name_in_package(module: str) -> str | None:
    """A dotted name without that of the package; None if it is of another package."""
    package, _, name = module.partition('.')
    return name if package == PACKAGE.name else None


def imports(tree: ast.AST) -> list[tuple[str, str, bool]]:
    """(module of the package, imported name, only for type checkers) of each import."""
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and 'TYPE_CHECKING' in ast.dump(branch.test)
        for node in ast.walk(branch)
    }
    found = []
    for node in ast.walk(tree):
        pairs: list[tuple[str | None, str]] = []
        if isinstance(node, ast.Import):
            names = [name_in_package(alias.name) for alias in node.names]
            pairs = [(name, name or '') for name in names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ''
            source = module if node.level else name_in_package(module)
            # A name that comes from the package itself may be a module.
            pairs = [(source if source != '' else a.name, a.name) for a in node.names]
        for source, name in pairs:
            if source is not None:
                found.append((source, name, id(node) in typing_only))
    return found


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def defined_names(tree: ast.Module) -> set[str]:
    """Names of functions, classes and variables that a module defines itself."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return {name for name in names if not name.startswith('__')}


@pytest.mark.parametrize('module', MODULES)
def test_no_private_name_crosses_a_wall(module: str) -> None:
    private = [
        f'{source}.{name}'
        for source, name, _ in imports(TREES[module])
        if name.startswith('_')
    ]
    assert not private


@pytest.mark.parametrize('module', MODULES)
def test_imports_lead_downwards(module: str) -> None:
    own = FLOORS[module]
    upwards = {
        source
        for source, _, typing_only in imports(TREES[module])
        if not typing_only and FLOORS.get(source, float('inf')) >= own
    }
    assert not upwards


@pytest.mark.parametrize(
    'line, source, name',
    [
        ('from .als import fit_als', 'als', 'fit_als'),
        ('from . import als', 'als', 'als'),
        ('from mf_movielens.als import fit_als', 'als', 'fit_als'),
        ('from mf_movielens import als', 'als', 'als'),
        ('import mf_movielens.als', 'als', 'als'),
        ('import mf_movielens.als as solver', 'als', 'als'),
    ],
)
def test_imports_of_all_forms_are_seen(line: str, source: str, name: str) -> None:
    inside = f'import numpy\nfrom os import path\ndef f():\n    {line}'
    assert imports(ast.parse(inside)) == [(source, name, False)]
    asked = f'if TYPE_CHECKING:\n    {line}'
    assert imports(ast.parse(asked)) == [(source, name, True)]


def test_every_module_has_a_floor() -> None:
    assert set(SOURCES) <= set(FLOORS)


def test_no_name_is_defined_in_two_modules() -> None:
    count = Counter(name for m in MODULES for name in defined_names(TREES[m]))
    twice = {
        name: [m for m in MODULES if name in defined_names(TREES[m])]
        for name, times in count.items()
        if times > 1
    }
    assert not twice


@pytest.mark.parametrize('module', MODULES)
def test_classes_are_whole(module: str) -> None:
    """Nothing is assigned to a class from outside, and no function takes `self`."""
    tree = TREES[module]
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assigned = [
        ast.unparse(target)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in ast.walk(node)
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, ast.Store)
        and isinstance(target.value, ast.Name)
        and target.value.id in classes | {n for _, n, _ in imports(tree)}
    ]
    assert not assigned
    outside = [
        node.name
        for node in tree.body
        if isinstance(node, Function) and any(a.arg == 'self' for a in node.args.args)
    ]
    assert not outside


@pytest.mark.parametrize('module', MODULES)
def test_functions_are_short(module: str) -> None:
    """At most forty lines of code; signature, docstring and comments aside."""
    lines = SOURCES[module].splitlines()
    long = {}
    for function in functions(TREES[module]):
        body = function.body[1:] if ast.get_docstring(function) else function.body
        if not body:
            continue
        code = lines[body[0].lineno - 1 : function.end_lineno]
        n = sum(bool(x.strip()) and not x.lstrip().startswith('#') for x in code)
        if n > MAX_FUNCTION_LINES:
            long[function.name] = n
    assert not long


def lines_of_all(tree: ast.Module) -> set[int]:
    """Numbers of the lines that list the public names; nbdev makes them wide."""
    return {
        line
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '__all__'
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


@pytest.mark.parametrize('module', MODULES)
def test_lines_are_no_wider_than_88_columns(module: str) -> None:
    lines = enumerate(SOURCES[module].splitlines(), start=1)
    skipped = lines_of_all(TREES[module])
    assert not [text for n, text in lines if len(text) > 88 and n not in skipped]


def test_there_are_few_lambdas() -> None:
    n_lines = sum(len(SOURCES[m].splitlines()) for m in MODULES)
    n_lambdas = sum(
        isinstance(node, ast.Lambda) for m in MODULES for node in ast.walk(TREES[m])
    )
    assert n_lambdas <= 2 * n_lines / 1000


def is_command(function: Function) -> bool:
    return any('app.' in ast.unparse(d) for d in function.decorator_list)


def public_functions(tree: ast.Module) -> list[tuple[str, Function]]:
    """Functions and methods that users see, by their dotted names."""
    found = []
    for node in tree.body:
        # Commands tell of their parameters by the options of Typer.
        if isinstance(node, Function) and not is_command(node):
            found.append((node.name, node))
        elif isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
            methods = [n for n in node.body if isinstance(n, Function)]
            found += [(f'{node.name}.{method.name}', method) for method in methods]
    return [(name, f) for name, f in found if not f.name.startswith('_')]


@pytest.mark.parametrize('module', MODULES)
def test_functions_are_typed(module: str) -> None:
    untyped = []
    for function in functions(TREES[module]):
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        named += [a for a in (arguments.vararg, arguments.kwarg) if a]
        bare = [a.arg for a in named if a.annotation is None]
        if function.returns is None or set(bare) - {'self', 'cls'}:
            untyped.append(function.name)
    assert not untyped


def documented_parameters(doc: str) -> set[str]:
    """The names that begin the entries of the section of parameters."""
    section = re.search(
        r'^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n---|\Z)', doc, re.M | re.S
    )
    entries = re.findall(r'^(\S.*)$', section[1] if section else '', re.M)
    heads = [entry.split(' : ')[0] for entry in entries]
    return {name.strip(' *') for head in heads for name in head.split(',')}


@pytest.mark.parametrize('module', MODULES)
def test_public_functions_are_documented(module: str) -> None:
    """A docstring; one with a section of parameters names all of them."""
    incomplete = []
    for name, function in public_functions(TREES[module]):
        doc = ast.get_docstring(function) or ''
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        names = {a.arg for a in named} - {'self', 'cls'}
        missing = names - documented_parameters(doc)
        if not doc or ('Parameters\n---' in doc and missing):
            incomplete.append(f'{name}: {", ".join(sorted(missing)) or "no docstring"}')
        elif len(names) > 2 and 'Parameters\n---' not in doc:
            incomplete.append(f'{name}: parameters are not told')
    assert not incomplete
