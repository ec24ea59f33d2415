"""How the documentation is built: ``make docs``."""

import sys
from pathlib import Path

import labdaq

sys.path.insert(0, str(Path(__file__).parent))

project = "labdaq"
author = "labdaq developers"
copyright = f"2026, {author}"
version = release = labdaq.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generating"]
exclude_patterns = ["_build"]

myst_heading_anchors = 3
# Diagrams are mermaid: pages of repositories draw them; elsewhere they are read.
suppress_warnings = ["misc.highlighting_failure"]
nb_execution_mode = "off"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = "labdaq"
