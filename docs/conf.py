"""Sphinx: Markdown pages by MyST, the reference from docstrings."""

from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain

from triocql import __version__ as release

project = "triocql"
author = "the triocql developers"
project_copyright = "the triocql developers"
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"triocql {release}"

default_role = "py:obj"  # so that `name` in a docstring is a link where there is something to link to
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True
autodoc_typehints_description_target = "documented_params"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


class Names(PythonDomain):
    """What several modules have a name for is, in a text that says no more, what users import from the package."""

    def find_obj(self, *args: Any, **keywords: Any) -> Any:
        """Find what a name means: the one that is the least far down."""
        found = super().find_obj(*args, **keywords)
        least = min((each[0].count(".") for each in found), default=0)
        return [each for each in found if each[0].count(".") == least]


def setup(app: Sphinx) -> None:
    """Have names looked up so."""
    app.add_domain(Names, override=True)
