"""The reference of the site: a page for each public module of the package.

A page lists what the module's `__all__` names. Sphinx's autodoc reads signatures and
docstrings, numpydoc their sections; nothing of them is repeated here. Modules are
found in the package's folder, and `GROUPS` only says in which order they come.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from book import PACKAGE, chapters, title_and_subtitle

# The floors of the package, from the top down
GROUPS = {
    'Command line': ['cli', 'serve', 'api', 'served', 'gate'],
    'Recommenders': [
        'recommender',
        'catalog',
        'similarity',
        'rules',
        'new_users',
        'updating',
        'evaluation',
        'model_file',
        'export',
        'tuning',
        'workflow',
        'spark',
    ],
    'Solvers': [
        'solvers',
        'als',
        'ials',
        'ease',
        'item_knn',
        'blend',
        'bayes',
        'training',
    ],
    'Evaluation': ['metrics', 'ranking', 'splits', 'baselines'],
    'Predictors': ['factors', 'item_weights', 'posterior', 'model'],
    'Engines': ['least_squares', 'feature_maps', 'gibbs'],
    'Ratings': [
        'encoding',
        'reading',
        'file_layout',
        'records',
        'python_tables',
        'unpacking',
        'values',
        'kinds',
        'features',
        'shards',
        'data',
        'movielens_sets',
        'frames',
    ],
    'Foundations': ['validation', 'storage', 'archives'],
    'The book': ['book', 'plots'],
}
OTHERS = 'More'
MAX_VALUE_LENGTH = 60
# Where nothing is linked: code, formulas, links and headings
KEPT = r'(```.*?```|\$\$.*?\$\$|\[[^\]]*\]\([^)]*\)|^#[^\n]*$)'
MADE_FROM = re.compile(r'File to edit: \.\./(nbs/\S+\.ipynb)')


class Module(NamedTuple):
    """A module of the package.

    `source` is what one edits to change it: a path in the repository.
    """

    name: str
    module: ModuleType
    source: str

    @property
    def page(self) -> str:
        """The name of its page."""
        return f'reference/{self.name}'

    @property
    def chapter(self) -> Path | None:
        """The chapter that makes it."""
        found = [path for path in chapters() if self.source.endswith(path.name)]
        return found[0] if found else None

    @property
    def public(self) -> dict[str, Any]:
        """What its `__all__` names, in that order."""
        return {name: getattr(self.module, name) for name in self.module.__all__}


@functools.cache
def modules() -> list[Module]:
    """Return the public modules, in the order of their names."""
    found = []
    for path in sorted(PACKAGE.glob('[a-z]*.py')):
        module = importlib.import_module(f'{PACKAGE.name}.{path.stem}')
        made_from = MADE_FROM.search(path.read_text(encoding='utf-8'))
        source = made_from[1] if made_from else f'{PACKAGE.name}/{path.name}'
        if getattr(module, '__all__', None):
            found.append(Module(path.stem, module, source))
    return found


def groups() -> dict[str, list[Module]]:
    """Return the modules of each group that has any."""
    by_name = {module.name: module for module in modules()}
    known = {name for names in GROUPS.values() for name in names}
    unknown = [name for name in by_name if name not in known]
    ordered = {
        group: [by_name[name] for name in names if name in by_name]
        for group, names in (GROUPS | {OTHERS: unknown}).items()
    }
    return {group: members for group, members in ordered.items() if members}


# Names


def methods(cls: type) -> list[str]:
    """Return the documented public methods and properties of a class.

    Those that come from base classes outside of the package are left to the reference
    of that package.
    """
    found: dict[str, None] = {}
    for base in cls.__mro__:
        if not base.__module__.startswith(PACKAGE.name):
            continue
        for name, member in vars(base).items():
            described = getattr(member, 'func', getattr(member, '__func__', member))
            is_method = inspect.isfunction(described) or isinstance(member, property)
            documented = inspect.getdoc(getattr(cls, name, None))
            if is_method and documented and not name.startswith('_'):
                found[name] = None
    return list(found)


def members(module: Module) -> Iterator[tuple[str, str]]:
    """Give the short name and the full name of all that the page of a module has."""
    for name, thing in module.public.items():
        full_name = f'{PACKAGE.name}.{module.name}.{name}'
        yield name, full_name
        if inspect.isclass(thing):
            for method in methods(thing):
                yield f'{name}.{method}', f'{full_name}.{method}'


@functools.cache
def full_names() -> dict[str, str]:
    """Return the full name of each public name that only one module has."""
    found: dict[str, list[str]] = {}
    for module in modules():
        for name, full_name in members(module):
            found.setdefault(name, []).append(full_name)
    return {name: full[0] for name, full in found.items() if len(full) == 1}


def link_names(text: str, seen: set[str]) -> str:
    """Link the first mention of each public name to the reference.

    Code blocks, headings and other links stay as they are; `seen` holds the names that
    the page has linked already.
    """

    def link(found: re.Match[str]) -> str:
        name, call = found[1], found[2]
        if name in seen or name not in full_names():
            return found[0]
        seen.add(name)
        return f'{{py:obj}}`{name}{call} <{full_names()[name]}>`'

    parts = re.split(KEPT, text, flags=re.S | re.M)
    for k in range(0, len(parts), 2):
        parts[k] = re.sub(
            r'(?<![`}\w])`([A-Za-z_][\w.]*)((?:\(\))?)`(?!`)', link, parts[k]
        )
    return ''.join(parts)


# Pages


def comment_above(lines: list[str], line: int) -> list[str]:
    """Return the lines of comment above a line, the first being number 1."""
    first = line - 1
    while first and re.match('#:? ', lines[first - 1]) and '%%' not in lines[first - 1]:
        first -= 1
    return [text.lstrip('#: ') for text in lines[first : line - 1]]


def constant(module: Module, name: str) -> list[str]:
    """Return the directive of a constant: its value, and the comment above it."""
    source = inspect.getsource(module.module)
    directive = [f'.. py:data:: {name}']
    for node in ast.parse(source).body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if not any(isinstance(t, ast.Name) and t.id == name for t in targets):
            continue
        value = ' '.join((ast.get_source_segment(source, node.value) or '').split())
        if len(value) <= MAX_VALUE_LENGTH:
            directive.append(f'   :value: {value}')
        comment = comment_above(source.splitlines(), node.lineno)
        directive += ['', *(f'   {line}' for line in comment)]
    return directive


def entry(module: Module, name: str, thing: Any) -> str:
    """Return the directive by which Sphinx documents a public name."""
    if inspect.isclass(thing):
        kind = 'exception' if issubclass(thing, BaseException) else 'class'
        names = methods(thing)
        listed = [f'   :members: {", ".join(names)}'] if names else []
        lines = [f'.. auto{kind}:: {name}', *listed]
    elif inspect.isroutine(thing):
        lines = [f'.. autofunction:: {name}']
    else:
        lines = constant(module, name)
    return '\n'.join(lines) + '\n'


def summary(names: list[str]) -> str:
    """Return the table of some names."""
    rows = '\n'.join(f'   {name}' for name in names)
    return f'.. autosummary::\n   :nosignatures:\n\n{rows}\n'


def module_page(module: Module) -> str:
    """Return the page of one module."""
    full_name = f'{PACKAGE.name}.{module.name}'
    parts = [f'.. py:module:: {full_name}', first_line(module.module)]
    if module.chapter:
        title, _ = title_and_subtitle(module.chapter)
        parts.append(f'Chapter: :doc:`{title} </{module.chapter.stem}>`')
    described = [
        name
        for name, thing in module.public.items()
        if inspect.isroutine(thing) or inspect.isclass(thing)
    ]
    if described:
        parts.append(summary(described))
    parts += [entry(module, *item) for item in module.public.items()]
    return page(full_name, parts)


def page(title: str, parts: list[str]) -> str:
    """Return a page of reStructuredText, which docstrings are written in."""
    body = '\n\n'.join(parts)
    return f'# {title}\n\n```{{eval-rst}}\n{body}\n```\n'


def first_line(module: ModuleType) -> str:
    """Return the first line of a module's docstring, as a sentence."""
    line = (inspect.getdoc(module) or '').partition('\n')[0].strip()
    return line if not line or line[-1] in '.?!' else f'{line}.'


def package_page() -> str | None:
    """Return the page of the names that the package itself has, if it has any."""
    package = importlib.import_module(PACKAGE.name)
    names = getattr(package, '__all__', [])
    rows = [f'~{full_names()[name]}' for name in names if name in full_names()]
    if not rows:
        return None
    docstring = inspect.getdoc(package) or ''
    parts = [
        f'.. py:module:: {PACKAGE.name}',
        docstring,
        '.. py:currentmodule:: None',  # the names of the table are full
        summary(rows),
    ]
    return page(PACKAGE.name, parts)


def contents(has_package_page: bool) -> str:
    """Return the page from which the others can be reached."""
    parts = ['# Reference', 'Every public name, by module.']
    entries = [f'reference/{PACKAGE.name}'] if has_package_page else []
    if has_package_page:
        parts.append(
            'What most people need can be imported from '
            f'[{PACKAGE.name}](reference/{PACKAGE.name}.md) itself.'
        )
    for group, found in groups().items():
        rows = [f'- [`{m.name}`]({m.page}.md): {first_line(m.module)}' for m in found]
        parts += [f'## {group}', '\n'.join(rows)]
        entries += [f'{m.name} <{m.page}>' for m in found]
    listed = '\n'.join(entries)
    return '\n\n'.join([*parts, f'```{{toctree}}\n:hidden:\n\n{listed}\n```\n'])


def write_reference(folder: Path) -> None:
    """Write all pages of the reference below a folder."""
    (folder / 'reference').mkdir()
    package = package_page()
    pages = {module.page: module_page(module) for module in modules()}
    if package:
        pages[f'reference/{PACKAGE.name}'] = package
    pages['reference'] = contents(bool(package))
    for page, text in pages.items():
        (folder / f'{page}.md').write_text(text, encoding='utf-8')
