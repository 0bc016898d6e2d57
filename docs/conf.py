"How Sphinx makes the site of what tools/make_site.py prepares; names and addresses come from settings.ini."

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
from book import settings

s = settings()
project, author, release = s['title'], s['author'], s['version']
copyright = s['copyright']
language = 'en'

extensions = ['myst_nb', 'sphinx_copybutton', 'sphinxext.opengraph']
exclude_patterns = ['_static', '_templates']
nb_execution_mode = 'off'
nb_merge_streams = True
myst_enable_extensions = [
    'dollarmath',
    'amsmath',
    'attrs_inline',
    'attrs_block',
    'deflist',
]
myst_heading_anchors = 3
pygments_style = 'friendly'

html_theme = 'sphinx_book_theme'
html_title = s['title']
html_baseurl = s['site'] + '/'
html_logo, html_favicon = '_static/logo.svg', '_static/logo.svg'
html_static_path = ['_static']
html_css_files = ['book.css']
html_copy_source, html_show_sourcelink, html_sourcelink_suffix = True, False, ''
html_last_updated_fmt = None
html_theme_options = dict(
    repository_url=s['git_url'],
    repository_branch=s['branch'],
    path_to_docs='nbs',
    use_repository_button=True,
    use_issues_button=True,
    use_edit_page_button=True,
    use_source_button=True,
    use_download_button=True,
    launch_buttons={'colab_url': 'https://colab.research.google.com'},
    show_toc_level=2,
    home_page_in_toc=True,
    navbar_start=[],
    navbar_center=[],
    navbar_end=[],
    navbar_persistent=[],
    logo={'text': s['title'], 'alt_text': ''},
    pygments_light_style='a11y-high-contrast-light',
    pygments_dark_style='a11y-high-contrast-dark',
)
html_context = {'default_mode': 'auto'}
copybutton_exclude = '.linenos, .gp, .go'
ogp_site_url = html_baseurl
ogp_image = s['raw'] + '/nbs/images/map.png'
ogp_social_cards = {'enable': False}

if (Path(__file__).parent / '_static/mathjax/es5').exists():
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


def fix_addresses(app, pagename, templatename, context, doctree):
    "Pages that are not notebooks are edited where they come from."
    if pagename[:2].isdigit() or pagename == 'index':
        return
    made = {
        'bibliography': 'docs/references.bib',
        'contributing': 'CONTRIBUTING.md',
        'changelog': 'CHANGELOG.md',
        'play': 'docs/play.md',
        'devices': 'docs/devices.md',
    }
    context['theme_path_to_docs'] = ''
    context['theme_use_edit_page_button'] = context['theme_use_source_button'] = (
        pagename in made
    )


def setup(app):
    app.connect('html-page-context', fix_addresses, priority=100)
