"""How the documentation is built: ``sphinx-build -W --keep-going -n docs build/docs``."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import nbclient
from jupyter_cache.executors import utils as executors

import omnifold_pub

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
os.environ["PYTHONWARNINGS"] = "ignore"  # of the notebooks' kernels: what Jupyter warns of is not ours
# A notebook calls `omnifold-pub` as its reader does: the one beside this Python.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

# Jupyter makes programs believe that they write to a terminal, and then tears their colours apart.
_ipython = TemporaryDirectory()
_startup = Path(_ipython.name) / "profile_default/startup/plain.py"
_startup.parent.mkdir(parents=True)
_startup.write_text('import os\n\nos.environ["FORCE_COLOR"] = ""\n')
os.environ["IPYTHONDIR"] = _ipython.name
# What a command prints is one text, however it arrives; myst_nb's own way puts line ends between its pieces.
executors.executenb = partial(nbclient.execute, coalesce_streams=True)

project = "omnifold_pub"
author = "The omnifold_pub developers"
copyright = "the omnifold_pub developers, BSD-3-Clause"  # noqa: A001 - Sphinx has it so
version = release = omnifold_pub.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "of_the_checkout",
    "mathml",
    "known_names",
]

nitpicky = True
default_role = "py:obj"
exclude_patterns = ["_ext"]

html_theme = "furo"
html_title = "omnifold_pub"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4

# Tutorials are notebooks as text; their kernel starts in the folder of the page.
nb_execution_mode = "force"
nb_execution_timeout = 600  # for each cell
nb_execution_raise_on_error = True
nb_execution_show_tb = True

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_param = False
napoleon_use_rtype = False
