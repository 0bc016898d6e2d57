"""How Sphinx makes the site of what tools/make_site.py prepares.

Names and addresses come from settings.ini.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'tools'), str(HERE.parent)]

import site_sphinx
from book import settings

s = settings()
project, author, release = s['title'], s['author'], s['version']
copyright = s['copyright']
language = 'en'

extensions = [
    'myst_nb',
    'numpydoc',
    'site_sphinx',
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinx.ext.intersphinx',
    'sphinx.ext.linkcode',
    'sphinx_copybutton',
    'sphinxext.opengraph',
]
exclude_patterns = ['_inventories', '_static', '_templates']
pygments_style = 'friendly'

# The chapters
nb_execution_mode = 'off'
nb_merge_streams = True
myst_enable_extensions = [
    'dollarmath',
    'amsmath',
    'attrs_inline',
    'attrs_block',
    'deflist',
]
myst_heading_anchors = 4

# The reference. numpydoc, not napoleon: two docstrings of a page may both cite their
# source as [1], and parameters look as in the reference of scikit-learn.
default_role = 'py:obj'
autodoc_member_order = 'bysource'
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    'npt.ArrayLike': 'numpy.typing.ArrayLike',
    'ArrayLike': 'numpy.typing.ArrayLike',
}
autosummary_generate = False
linkcode_resolve = site_sphinx.linkcode_resolve
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_aliases = site_sphinx.types()
numpydoc_xref_ignore = 'all'
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = 'hide'

# Other projects, from the few objects that are kept in docs/_inventories
intersphinx_mapping = {
    name: (address, str(HERE / f'_inventories/{name}.inv'))
    for name, address in {
        'keras': 'https://keras.io',
        'matplotlib': 'https://matplotlib.org/stable',
        'numpy': 'https://numpy.org/doc/stable',
        'pandas': 'https://pandas.pydata.org/docs',
        'python': 'https://docs.python.org/3',
        'scipy': 'https://docs.scipy.org/doc/scipy',
    }.items()
}

html_theme = 'sphinx_book_theme'
html_title = s['title']
html_baseurl = s['site'] + '/'
html_logo, html_favicon = '_static/logo.svg', '_static/logo.svg'
html_static_path = ['_static']
html_css_files = ['book.css']
html_js_files = ['print.js', ('tables.js', {'defer': 'defer'})]
html_copy_source, html_show_sourcelink, html_sourcelink_suffix = True, False, ''
html_last_updated_fmt = None
html_domain_indices = False  # the page of the reference lists the modules
html_theme_options = {
    'repository_url': s['git_url'],
    'repository_branch': s['branch'],
    'path_to_docs': 'nbs',
    'use_repository_button': True,
    'use_issues_button': True,
    'use_edit_page_button': True,
    'use_source_button': True,
    'use_download_button': True,
    'launch_buttons': {'colab_url': 'https://colab.research.google.com'},
    'show_toc_level': 2,
    'home_page_in_toc': True,
    'navbar_start': [],
    'navbar_center': [],
    'navbar_end': [],
    'navbar_persistent': [],
    'logo': {'text': s['title'], 'alt_text': ''},
    'pygments_light_style': 'a11y-high-contrast-light',
    'pygments_dark_style': 'a11y-high-contrast-dark',
}
html_context = {
    'default_mode': 'auto',
    'edit_page_provider_name': 'GitHub',
    'edit_page_url_template': s['edit'] + '/{{ repository_paths[file_name] }}',
    'repository_paths': site_sphinx.repository_paths(),
}
copybutton_exclude = '.linenos, .gp, .go'
ogp_site_url = html_baseurl
ogp_image = s['raw'] + '/nbs/images/map.png'
ogp_social_cards = {'enable': False}

if (HERE / '_static/mathjax/es5').exists():
    mathjax_path = 'mathjax/es5/startup.js'
    mathjax3_config = {
        'loader': {
            'load': [
                'core',
                'input/tex-base',
                '[tex]/ams',
                'output/chtml',
                'a11y/assistive-mml',
            ]
        },
        'tex': {'packages': {'[+]': ['ams']}},
    }
