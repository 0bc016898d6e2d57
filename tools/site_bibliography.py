"""The bibliography of the site: citations become links to it, and it links back."""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import NamedTuple

from book import ROOT
from pybtex.database import Entry, parse_file
from pybtex.plugin import find_plugin

ADDRESSES = ('doi', 'eprint', 'url')
CITED_HOSTS = r'\]\((https://(?:doi\.org|arxiv\.org|proceedings)[^)]*)\)'
Citations = dict[str, list[str]]


class Work(NamedTuple):
    """An entry of references.bib, and the address by which chapters cite it."""

    entry: Entry
    address: str


def address(fields: dict[str, str]) -> str:
    """Return where a work is found."""
    if 'doi' in fields:
        return f'https://doi.org/{fields["doi"]}'
    if 'eprint' in fields:
        return f'https://arxiv.org/abs/{fields["eprint"]}'
    return fields['url']


@cache
def works() -> dict[str, Work]:
    """Return the works of references.bib by key, by author and year."""
    entries = parse_file(str(ROOT / 'docs/references.bib')).entries

    def author_and_year(key: str) -> tuple[list[str], str]:
        entry = entries[key]
        return entry.persons['author'][0].last_names, entry.fields['year']

    ordered = sorted(entries, key=author_and_year)
    return {key: Work(entries[key], address(entries[key].fields)) for key in ordered}


def link_citations(text: str, citations: Citations, page: str) -> str:
    """Link cited works to the bibliography, and note in `citations` who cites them."""
    for key, work in works().items():
        target = f']({work.address})'
        if target in text:
            citations.setdefault(key, []).append(page)
            text = text.replace(target, f'](#{key})')
    unknown = re.findall(CITED_HOSTS, text)
    if unknown:
        sys.exit(f'{page} cites {unknown[0]}, which is not in docs/references.bib')
    return text


def formatted(entry: Entry) -> str:
    """Return a work as a line of Markdown, without its address."""
    kept = [(name, x) for name, x in entry.fields.items() if name not in ADDRESSES]
    style = find_plugin('pybtex.style.formatting', 'plain')()
    backend = find_plugin('pybtex.backends', 'markdown')()
    formatted_entry = next(
        style.format_entries([Entry(entry.type, kept, entry.persons)])
    )
    text = re.sub(r'\s+', ' ', formatted_entry.text.render(backend))
    return text.replace('\\', '').rstrip('.')


def bibliography(citations: Citations, titles: dict[str, str]) -> str:
    """Return the page of all works, each with the chapters that cite it."""
    uncited = sorted(set(works()) - set(citations))
    if uncited:
        sys.exit(f'no chapter cites {", ".join(uncited)} of docs/references.bib')
    rows = []
    for key, work in works().items():
        pages = dict.fromkeys(citations[key])
        links = ', '.join(f'[{titles[page]}]({page})' for page in pages)
        shown_address = work.address.removeprefix('https://')
        rows.append(
            f'({key})=\n{formatted(work.entry)}. [{shown_address}]({work.address})\n'
            f': Cited in {links}.\n'
        )
    return (
        '# Bibliography\n\n'
        'The works that the chapters rest on, and where each is used.\n\n'
        + '\n'.join(rows)
    )
