"""Build the site in _docs: `pip install -e '.[docs]' && python tools/make_site.py`.

The chapters are the notebooks as they are committed, nothing is run. In _proc they become pages: plumbing is left out,
names become links to the reference, citations links to the bibliography. Then Sphinx makes the site; a warning is an error.
"""

import ast, importlib, inspect, os, re, shutil, subprocess, sys, tarfile, textwrap
from functools import cache
from pathlib import Path

import nbformat
from pybtex.database import Entry, parse_file
from pybtex.plugin import find_plugin

from book import (
    HIDDEN,
    NBS,
    PARTS,
    ROOT,
    chapters,
    directive,
    read,
    settings,
    shown,
    without_directives,
)

DOCS, PROC, OUT = ROOT / 'docs', ROOT / '_proc', ROOT / '_docs'
MATHJAX = '3.2.2'


# the bibliography


@cache
def entries():
    "The entries of references.bib, by key, with the address that each is cited by."
    address = lambda f: (
        f'https://doi.org/{f["doi"]}'
        if 'doi' in f
        else f'https://arxiv.org/abs/{f["eprint"]}'
        if 'eprint' in f
        else f['url']
    )
    found = parse_file(str(DOCS / 'references.bib')).entries
    return {key: (entry, address(entry.fields)) for key, entry in found.items()}


def cite(text, cited, page):
    "Let links to cited works lead to the bibliography; note in `cited` who cites what."
    for key, (_, address) in entries().items():
        if f']({address})' in text:
            cited.setdefault(key, []).append(page)
            text = text.replace(f']({address})', f'](#{key})')
    stray = re.findall(
        r'\]\((https://(?:doi\.org|arxiv\.org|proceedings)[^)]*)\)', text
    )
    if stray:
        sys.exit(f'{page} cites {stray[0]}, which is not in docs/references.bib')
    return text


def bibliography(cited, titles):
    "The page of all works, each with the chapters that cite it."
    missing = set(entries()) - set(cited)
    if missing:
        sys.exit(
            f'docs/references.bib has works that no chapter cites: {", ".join(sorted(missing))}'
        )
    style, backend = (
        find_plugin('pybtex.style.formatting', 'plain')(),
        find_plugin('pybtex.backends', 'markdown')(),
    )
    rows = []
    for key, (entry, address) in sorted(
        entries().items(),
        key=lambda e: (e[1][0].persons['author'][0].last_names, e[1][0].fields['year']),
    ):
        entry = Entry(
            entry.type,
            [f for f in entry.fields.items() if f[0] not in ('doi', 'eprint', 'url')],
            entry.persons,
        )  # the address is added once, below
        words = (
            re.sub(
                r'\s+', ' ', next(style.format_entries([entry])).text.render(backend)
            )
            .replace('\\', '')
            .rstrip('.')
        )
        where = ', '.join(
            f'[{titles[p]}]({p}.ipynb)' for p in dict.fromkeys(cited[key])
        )
        rows.append(
            f'({key})=\n{words}. [{address.removeprefix("https://")}]({address})\n: Cited in {where}.\n'
        )
    return (
        '# Bibliography\n\nThe works that the chapters rest on, and where each is used.\n\n'
        + '\n'.join(rows)
    )


# the reference


@cache
def modules():
    "The modules that chapters make, in reading order: (notebook, name, module)."
    return [
        (p, p.stem[3:], importlib.import_module(f'mf_movielens.{p.stem[3:]}'))
        for p in chapters()
        if (ROOT / f'mf_movielens/{p.stem[3:]}.py').exists()
    ]


OWN = {
    'CONTRIBUTING.md': 'contributing.md',
    'docs/devices.md': 'devices.md',
}  # what of the repository is a page of the site


def public(module):
    "Its public functions and classes, by name."
    return {
        n: getattr(module, n)
        for n in module.__all__
        if inspect.isfunction(getattr(module, n)) or inspect.isclass(getattr(module, n))
    }


def signature(thing):
    "The head of a function or a class as it stands in the source, with its comments, and its docstring."
    lines = textwrap.dedent(inspect.getsource(thing)).splitlines()
    node = ast.parse('\n'.join(lines)).body[0]
    if isinstance(node, ast.Assign):
        return '\n'.join(lines), ''
    doc, body = ast.get_docstring(node) or '', node.body
    start = min([node.lineno] + [d.lineno for d in node.decorator_list]) - 1
    if not isinstance(node, ast.ClassDef):
        return '\n'.join(
            lines[node.lineno - 1 : body[0].lineno - 1] or [lines[node.lineno - 1]]
        ), doc
    fields = [n for n in body if isinstance(n, ast.AnnAssign)]
    head = lines[start : node.lineno]
    return '\n'.join(
        head + [line for n in fields for line in lines[n.lineno - 1 : n.end_lineno]]
    ), doc


def methods(cls):
    "Public methods and properties that say what they do."
    for name, thing in vars(cls).items():
        thing = (
            thing.fget
            if isinstance(thing, property)
            else getattr(thing, 'func', getattr(thing, '__func__', thing))
        )
        if not name.startswith('_') and inspect.isfunction(thing) and thing.__doc__:
            yield name, thing


@cache
def names():
    "The label under which the reference tells of each public name."
    found, twice = {}, set()
    for _, module, m in modules():
        for name, thing in public(m).items():
            to = f'#{module}.{name}'.lower()
            if name in found:
                twice.add(name)
            found[name] = to
            if inspect.isclass(thing):
                found |= {
                    f'{name}.{method}': f'{to}.{method}'.lower()
                    for method, _ in methods(thing)
                }
    return {name: to for name, to in found.items() if name not in twice}


def entry(label, name, thing, module, level, s):
    code, doc = signature(thing)
    line = inspect.getsourcelines(thing)[1]
    source = f'[source]({s["blob"]}/mf_movielens/{module}.py#L{line})'
    return f'({label.lower()})=\n{"#" * level} `{name}`\n\n```python\n{code}\n```\n\n{link_names(inspect.cleandoc(doc), set())}\n\n{source}\n'


def reference(path, module, m, s):
    "The page of one module."
    title, *_ = re.findall(r'^# (.*)$', read(path).cells[0].source, re.M)
    parts = [
        f'# `{module}`\n\n{m.__doc__.strip()}. The chapter that explains it: [{title}]({path.name}).\n'
    ]
    for name, thing in public(m).items():
        parts.append(entry(f'{module}.{name}', name, thing, module, 2, s))
        if inspect.isclass(thing):
            parts += [
                entry(f'{module}.{name}.{n}', f'{name}.{n}', t, module, 3, s)
                for n, t in methods(thing)
            ]
    return '\n'.join(parts)


def link_names(text, seen):
    "Link the first mention of each public name, outside of code blocks and of other links."

    def link(found):
        name = found[1]
        if name in seen or name not in names():
            return found[0]
        seen.add(name)
        return f'[`{name}`]({names()[name]})'

    parts = re.split(r'(```.*?```|\[[^\]]*\]\([^)]*\)|^#.*$)', text, flags=re.S | re.M)
    return ''.join(
        part
        if k % 2
        else re.sub(r'(?<!`)`([A-Za-z_][\w.]*)(?:\(\))?`(?!`)', link, part)
        for k, part in enumerate(parts)
    )


# the chapters

IMPORTS = re.compile(r'^(from|import|plt\.style|\s|#|$)')


def plumbing(cell):
    return cell.cell_type == 'code' and (
        HIDDEN.search(cell.source)
        or without_directives(cell.source).startswith('__all__')
    )


def only_imports(cell):
    return (
        cell.cell_type == 'code'
        and cell.source
        and not cell.outputs
        and all(
            IMPORTS.match(line) for line in without_directives(cell.source).splitlines()
        )
    )


def page(path, cited, s):
    "A notebook as MyST-NB wants it."
    nb, seen, cells = read(path), set(), []
    for cell in map(shown, (c for c in nb.cells if not plumbing(c))):
        if cell.cell_type == 'markdown':
            cell.source = cite(link_names(cell.source, seen), cited, path.stem)
            cell.source = re.sub(
                r'\]\(\.\./([^)]+)\)',
                lambda m: f']({OWN.get(m[1]) or s["blob"] + "/" + m[1]})',
                cell.source,
            )
        else:
            alt, imports = directive(cell, 'fig-alt'), only_imports(cell)
            cell.source, cell.metadata = without_directives(cell.source), {}
            if alt:
                cell.metadata['mystnb'] = {'image': {'alt': alt}}
            elif any('image/png' in o.get('data', {}) for o in cell.outputs):
                sys.exit(f'{path.name}: a picture has no `#| fig-alt:`')
            if imports and cells and cells[-1].metadata.get('tags') == ['hide-input']:
                cells[-1].source += '\n' + cell.source
                continue
            if imports:
                cell.metadata |= {
                    'tags': ['hide-input'],
                    'mystnb': {
                        'code_prompt_show': 'What is imported',
                        'code_prompt_hide': 'What is imported',
                    },
                }
        cells.append(cell)
    nb.cells = cells
    if path.stem != 'index':
        cells[0].source = ways(cells[0].source, path, s)
    return nb


def ways(text, path, s):
    "Put the other places where a chapter can be read under its first lines; the theme's own buttons need a script."
    colab = s['git_url'].replace(
        'https://github.com/', 'https://colab.research.google.com/github/'
    )
    line = f'[Open in Colab]({colab}/blob/{s["branch"]}/nbs/{path.name}) · [on GitHub]({s["blob"]}/nbs/{path.name})'
    return re.sub(r'^(> .*\n)', rf'\1\n{{.ways}}\n{line}\n', text, count=1, flags=re.M)


def toctree(caption, pages):
    return (
        '```{toctree}\n:hidden:\n'
        + (f':caption: {caption}\n' if caption else '')
        + '\n'
        + '\n'.join(pages)
        + '\n```\n'
    )


def toctrees():
    "The order of the pages, in parts."
    number = lambda path: int(path.stem[:2])
    parts = [
        toctree(part, [p.stem for p in chapters() if number(p) in numbers])
        for part, numbers in PARTS.items()
    ]
    return '\n'.join(
        [toctree('', ['play'])]
        + parts
        + [
            toctree(
                'Look up',
                ['devices', 'reference', 'bibliography', 'contributing', 'changelog'],
            )
        ]
    )


def doors(text):
    return text.replace('\n* **[', '\n{.doors}\n* **[', 1).replace(')**: ', ')** ')


# the site


def prepare():
    "Write the sources of the site into _proc."
    s, cited = settings(), {}
    shutil.rmtree(PROC, ignore_errors=True)
    shutil.copytree(DOCS, PROC)
    shutil.copytree(NBS / 'images', PROC / 'images')
    shutil.copy(
        NBS / 'images/map.png', PROC / '_static'
    )  # for raw HTML, which Sphinx does not look into
    titles = {}
    for path in [*chapters(), NBS / 'index.ipynb']:
        nb = page(path, cited, s)
        titles[path.stem] = re.search(r'^# (.*)$', nb.cells[0].source, re.M)[1]
        if path.stem == 'index':
            nb.cells[0].source = doors(nb.cells[0].source)
            nb.cells.append(nbformat.v4.new_markdown_cell(toctrees()))
        nbformat.write(nb, PROC / path.name)
    for path, module, m in modules():
        (PROC / f'api_{module}.md').write_text(
            reference(path, module, m, s), encoding='utf-8'
        )
    rows = '\n'.join(
        f'- [`{module}`](api_{module}.md): {m.__doc__.strip()}'
        for _, module, m in modules()
    )
    (PROC / 'reference.md').write_text(
        '# Reference\n\nEvery public name, by module, as the notebooks document it.\n\n'
        + rows
        + '\n\n'
        + toctree('', [f'api_{module}' for _, module, _ in modules()]),
        encoding='utf-8',
    )
    (PROC / 'bibliography.md').write_text(bibliography(cited, titles), encoding='utf-8')
    for name in ('CONTRIBUTING', 'CHANGELOG'):
        text = re.sub(
            r'\]\((?!https?:|#)([^)]+)\)',
            rf']({s["blob"]}/\1)',
            (ROOT / f'{name}.md').read_text(encoding='utf-8'),
        )
        (PROC / f'{name.lower()}.md').write_text(text, encoding='utf-8')


def get_mathjax():
    "Bring MathJax along, where npm can be had; pages fall back to its public address otherwise."
    kept, wanted = (
        ROOT / 'docs/_static/mathjax',
        (
            'es5/startup.js',
            'es5/core.js',
            'es5/input/tex-base.js',
            'es5/input/tex/extensions/ams.js',
            'es5/output/chtml.js',
            'es5/output/chtml/fonts/tex.js',
            'es5/output/chtml/fonts/woff-v2',
            'es5/a11y/assistive-mml.js',
            'LICENSE',
        ),
    )
    if (kept / 'es5').exists() or not shutil.which('npm'):
        return
    p = subprocess.run(
        [
            'npm',
            'pack',
            f'mathjax@{MATHJAX}',
            '--silent',
            '--pack-destination',
            str(ROOT),
        ],
        capture_output=True,
        text=True,
    )
    archive = ROOT / f'mathjax-{MATHJAX}.tgz'
    if p.returncode or not archive.exists():
        return print('MathJax cannot be had; formulas will need the network')
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            member.name = member.name.removeprefix('package/')
            if member.name.startswith(wanted):
                tar.extract(member, kept, filter='data')
    archive.unlink()


def lighten():
    "What the theme leaves to do: icons come as a font and as a script, and the font is enough; what unfolds the list of pages has no name to be read out, and a wide table cannot be reached by keys."
    for path in OUT.rglob('*.html'):
        text = re.sub(
            r'<script defer src="[^"]*fontawesome\.js[^"]*"></script>',
            '',
            path.read_text(encoding='utf-8'),
        )
        text = text.replace('class="dataframe">', 'class="dataframe" tabindex="0">')
        path.write_text(
            text.replace(
                '<summary><span class="toctree-toggle"',
                '<summary aria-label="pages below"><span class="toctree-toggle"',
            ),
            encoding='utf-8',
        )
    (OUT / '_static/scripts/fontawesome.js').unlink(missing_ok=True)


def main():
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
    get_mathjax()
    prepare()
    shutil.rmtree(OUT, ignore_errors=True)
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            'sphinx',
            '-q',
            '-W',
            '--keep-going',
            '-j',
            'auto',
            str(PROC),
            str(OUT),
        ]
    )
    if done.returncode:
        sys.exit(done.returncode)
    for path in NBS.glob('*.ipynb'):
        shutil.copy(path, OUT / '_sources')  # what is downloaded is the notebook itself
    lighten()
    for rest in (OUT / '.doctrees', ROOT / 'jupyter_execute'):
        shutil.rmtree(rest, ignore_errors=True)
    (OUT / '.nojekyll').touch()
    print(
        f'the site is in {OUT.relative_to(ROOT)}: python -m http.server -d {OUT.relative_to(ROOT)}'
    )


if __name__ == '__main__':
    main()
