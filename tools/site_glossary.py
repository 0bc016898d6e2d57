"""The glossary of the site: chapters link the terms that they introduce to it."""

from __future__ import annotations

import re
from functools import cache

from book import DOCS
from site_reference import KEPT

BOLD = r'\*\*([^*`\[\]$]+)\*\*'


@cache
def terms() -> dict[str, str]:
    """Return the terms of the glossary as it has them, by their small letters."""
    text = (DOCS / 'glossary.md').read_text(encoding='utf-8')
    (body,) = re.findall(r'```\{glossary\}\n(.*?)```', text, re.S)
    found = re.findall(r'^(\S.*)$', body, re.M)
    return {term.lower(): term for term in found}


def find_term(words: str) -> str | None:
    """Return the term of the glossary that some words name, in the plural as well."""
    name = words.lower().rstrip('.')
    forms = name, name.removesuffix('s'), name.removesuffix('es')
    return next((terms()[form] for form in forms if form in terms()), None)


def link_terms(text: str, seen: set[str]) -> str:
    """Link each term to the glossary where a page introduces it, in bold.

    `seen` holds the terms that the page has linked already.
    """

    def link(found: re.Match[str]) -> str:
        term = find_term(found[1])
        if term is None or term in seen:
            return found[0]
        seen.add(term)
        return f'**{{term}}`{found[1]} <{term}>`**'

    parts = re.split(KEPT, text, flags=re.S | re.M)
    parts[::2] = [re.sub(BOLD, link, part) for part in parts[::2]]
    return ''.join(parts)
