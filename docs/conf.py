"""How the documentation is built: `make docs`."""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "midgap"
author = "The midgap developers"
copyright = "The midgap developers"
release = version = importlib.metadata.version("midgap")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"  # `Name` in a docstring
suppress_warnings = ["ref.python"]  # `energy_eV` is the name of many things
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_ivar = True  # a class's attributes stand in its docstring, once
napoleon_preprocess_types = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # os.environ, not what it holds where this is built
autodoc_mock_imports = [
    name
    for name in ("gpaw", "pyscf", "pyfftw", "h5py", "jobflow_remote", "numba", "ptufile", "pyarrow")
    if importlib.util.find_spec(name) is None
]
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

html_theme = "sphinx_book_theme"
html_title = "midgap"
html_theme_options = {
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
}
html_show_sourcelink = False
html_math_renderer = "mathml"  # the reader's browser draws it, without a network
copybutton_prompt_text = "$ "


def setup(app):
    """Write the pages that come from the package, before the sources are looked for."""
    import pages

    pages.write_all(HERE)
    app.add_html_math_renderer("mathml", (pages.inline_math, None), (pages.display_math, None))
    app.connect("source-read", pages.link_outside)
    app.connect("autodoc-skip-member", pages.skip_member)
    app.connect("autodoc-process-docstring", pages.escape_bars)
