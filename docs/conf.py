"""Settings of the site. Build the site with: python -m sphinx -W docs site."""

import sys
from pathlib import Path

import emu

sys.path.insert(0, str(Path(__file__).parent))

project = "emu"
author = "The emu authors"
version = release = emu.__version__

extensions = ["myst_parser", "generator"]
exclude_patterns = ["examples"]
nitpicky = True
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
smartquotes = False  # they turn the two dashes of an option into one

html_theme = "furo"
html_title = "emu"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
