"""Print the lowest versions that settings.ini allows, as constraints for pip.

It needs nothing but Python, since it runs before anything is installed.
"""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

SETTINGS = Path(__file__).resolve().parent.parent / 'settings.ini'


def lowest_versions() -> list[str]:
    """Return a `name==version` for each requirement, by name."""
    config = ConfigParser(delimiters=['='])
    config.read(SETTINGS, encoding='utf-8')
    options = config['DEFAULT'].items()
    values = [value for key, value in options if key.endswith('requirements')]
    found = re.findall(r'([\w.-]+)>=([\d.]+)', ' '.join(values))
    return sorted({f'{name}=={version}' for name, version in found})


if __name__ == '__main__':
    print('\n'.join(lowest_versions()))
