"""What Sphinx is told of the package: where sources lie, and how names are written."""

from __future__ import annotations

import html
import importlib
import inspect
import re
import textwrap
from functools import cached_property, partial
from typing import Any

from book import PACKAGE, chapters, docs_pages, settings
from docutils import nodes
from site_reference import full_names, modules
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.inspect import stringify_signature

# Pages that are files of the repository
FILES = {
    'bibliography.md': 'docs/references.bib',
    'changelog.md': 'CHANGELOG.md',
    'contributing.md': 'CONTRIBUTING.md',
    'index.ipynb': 'nbs/index.ipynb',
}
# What docstrings call the types of other packages
TYPES = {
    'DataFrame': 'pandas.DataFrame',
    'Series': 'pandas.Series',
    'Index': 'pandas.Index',
    'Path': 'pathlib.Path',
    'path-like': 'os.PathLike',
    'csr_array': 'scipy.sparse.csr_array',
    'Generator': 'numpy.random.Generator',
    'Any': 'typing.Any',
    'Callable': 'collections.abc.Callable',
    'Literal': 'typing.Literal',
}
# How Sphinx writes some types and defaults, and how their source has them
WRITTEN = {
    r"TypeAliasForwardRef\('([\w.]+)'\)": r'~\1',
    r"<(?:function|class) '?([\w.]+)'?(?: at 0x\w+)?>": r'\1',
    r'<factory>': '...',
}
LONGEST_DESCRIPTION = 200
# Of pages that Sphinx makes
DESCRIPTIONS = {
    'genindex': f'Every public name of {PACKAGE.name} and every term, from A to Z',
    'search': f'Search the chapters, the glossary and the reference of {PACKAGE.name}',
}
EDIT_BUTTONS = ('source-edit-button', 'source-file-button')
ABBREVIATIONS = {
    'np.': 'numpy.',
    'npt.': 'numpy.typing.',
    'pd.': 'pandas.',
    'sparse.': 'scipy.sparse.',
}


def repository_paths() -> dict[str, str]:
    """Return what one edits to change a page: a path in the repository."""
    paths = dict(FILES)
    paths |= {path.name: f'docs/{path.name}' for path in docs_pages()}
    paths |= {path.name: f'nbs/{path.name}' for path in chapters()}
    paths |= {f'{module.page}.md': module.source for module in modules()}
    paths[f'reference/{PACKAGE.name}.md'] = f'{PACKAGE.name}/__init__.py'
    return paths


def types() -> dict[str, str]:
    """Return the types that numpydoc links, by the names that docstrings have."""
    own = {name: full for name, full in full_names().items() if name[0].isupper()}
    return TYPES | own


def unwrapped(thing: Any) -> Any:
    """Return the function below a property, a partial function or a decorator."""
    if isinstance(thing, property):
        return thing.fget
    if isinstance(thing, (cached_property, partial)):
        return thing.func
    return inspect.unwrap(thing)


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Return the address of the source of an object."""
    module = importlib.import_module(info['module'])
    thing: Any = module
    for name in info['fullname'].split('.'):
        thing = inspect.getattr_static(thing, name, getattr(thing, name, None))
        thing = getattr(thing, '__func__', thing)
    thing = unwrapped(thing)
    try:
        lines, first = inspect.getsourcelines(thing)
        path = inspect.getsourcefile(thing) or ''
    except (OSError, TypeError):  # a constant
        return None
    if PACKAGE.name not in path:
        return None
    name = path[path.rindex(PACKAGE.name) :]
    return f'{settings()["blob"]}/{name}#L{first}-L{first + len(lines) - 1}'


def process_signature(
    app: Sphinx,
    what: str,
    name: str,
    thing: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Write a signature as its source has it.

    A protocol is not called. Keras hides the parameters of a network behind its own
    `__new__`. Some types and defaults are written as Python represents them.
    """
    if getattr(thing, '_is_protocol', False):
        return '', None
    if what == 'class' and signature == '(*args, **kwargs)':
        of_init = inspect.signature(thing.__init__)
        parameters = list(of_init.parameters.values())[1:]
        signature = stringify_signature(
            of_init.replace(parameters=parameters, return_annotation=of_init.empty),
            unqualified_typehints=True,
        )
    for pattern, source in WRITTEN.items():
        signature = signature and re.sub(pattern, source, signature)
        returns = returns and re.sub(pattern, source, returns)
    return signature, returns


def complete_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Node
) -> nodes.Node | None:
    """Look a name up again by its full name, where it is short or abbreviated."""
    if node.get('refdomain') != 'py':
        return None
    name = node['reftarget']
    full = full_names().get(name) or TYPES.get(name, name)
    for short, module in ABBREVIATIONS.items():
        if full.startswith(short):
            full = module + full.removeprefix(short)
    # intersphinx, which is asked next, looks for any object of the full name
    node['reftarget'], node['reftype'] = full, 'obj'
    if full == name:
        return None
    return env.domains['py'].resolve_xref(
        env, node['refdoc'], app.builder, 'obj', full, node, content
    )


def remove_edit_buttons(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Offer to edit a page only where it is made from one file of the repository."""
    file_name = f'{page}{context.get("page_source_suffix", "")}'
    if file_name in app.config.html_context['repository_paths']:
        return
    for group in context['header_buttons']:
        buttons = group.get('buttons', [])
        buttons[:] = [b for b in buttons if b['label'] not in EDIT_BUTTONS]


def clipped(text: str) -> str:
    """Return a text without line breaks, cut between words if it is long."""
    return textwrap.shorten(text, LONGEST_DESCRIPTION, placeholder=' …')


def description_of(page: str, title: str, doctree: nodes.document | None) -> str:
    """Return what a search engine shows of a page: its subtitle or first paragraph."""
    if doctree is None:
        return DESCRIPTIONS.get(page, '')
    first = next(doctree.findall(nodes.paragraph), None)
    text = first.astext() if first is not None else title
    # a module has the subtitle of its chapter
    of_module = f'Reference of {title}: ' if page.startswith('reference/') else ''
    return clipped(of_module + text)


def add_description(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Describe a page before sphinxext.opengraph does, which takes all of its text."""
    title = re.sub('<[^>]*>', '', context.get('title', ''))
    text = description_of(page, title, doctree)
    if not text:
        return
    content = html.escape(text, quote=True)
    tag = f'<meta name="description" content="{content}" />\n'
    context['metatags'] = context.get('metatags', '') + tag
    context['meta'] = {**(context.get('meta') or {}), 'og:description': text}


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the above."""
    app.connect('html-page-context', add_description, priority=400)
    # after the theme has made its buttons
    app.connect('html-page-context', remove_edit_buttons, priority=510)
    app.connect('autodoc-process-signature', process_signature)
    app.connect('missing-reference', complete_name, priority=400)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
