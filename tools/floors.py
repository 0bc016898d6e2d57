"Print the lowest versions that settings.ini allows, one `name==version` a line: a file of constraints for pip."

import re
from configparser import ConfigParser
from pathlib import Path

config = ConfigParser(delimiters=['='])
config.read(Path(__file__).resolve().parent.parent / 'settings.ini', encoding='utf-8')
words = ' '.join(
    value for key, value in config['DEFAULT'].items() if key.endswith('requirements')
)
print(
    '\n'.join(
        sorted(
            {
                f'{name}=={floor}'
                for name, floor in re.findall(r'([\w-]+)>=([\d.]+)', words)
            }
        )
    )
)
