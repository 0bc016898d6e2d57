"""Hand the metadata of settings.ini to setuptools."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=['='])
config.read('settings.ini', encoding='utf-8')
s = config['DEFAULT']
oldest = int(s['min_python'].split('.')[1])

setup(
    name=s['lib_name'],
    version=s['version'],
    description=s['description'],
    keywords=s['keywords'],
    author=s['author'],
    author_email=s['author_email'],
    license='Apache-2.0',
    license_files=['LICENSE'],
    url=s['git_url'],
    project_urls={
        'Documentation': s['doc_host'] + s['doc_baseurl'],
        'Source': s['git_url'],
    },
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Developers',
        'Intended Audience :: Education',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{n}' for n in range(oldest, 14)),
    ],
    packages=find_packages(include=[s['lib_name'] + '*']),
    include_package_data=False,
    package_data={
        s['lib_name']: [
            'py.typed',
            'results/*.csv',
            '*.mplstyle',
            'static/*.*',
            'static/widgets/*.*',
        ]
    },
    python_requires='>=' + s['min_python'],
    install_requires=s['requirements'].split(),
    extras_require={
        'dev': s['dev_requirements'].split(),
        'docs': s['docs_requirements'].split(),
        'excel': s['excel_requirements'].split(),
        'parquet': s['parquet_requirements'].split(),
        'serve': s['serve_requirements'].split(),
        'spark': s['spark_requirements'].split(),
        'zstd': s['zstd_requirements'].split(),
    },
    entry_points={
        'console_scripts': s['console_scripts'].split(),
        'nbdev': [f'{s["lib_name"]}={s["lib_name"]}._modidx:d'],
    },
)
