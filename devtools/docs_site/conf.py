"""Settings of Sphinx."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "jobfleet"
author = "The jobfleet authors"
copyright = "The jobfleet authors"  # noqa: A001 - Sphinx's name
version = release = version_of("jobfleet")
html_title = f"jobfleet {release}"
html_theme = "furo"
html_copy_source = False
html_theme_options = {
    "source_repository": "https://github.com/jobfleet/jobfleet/",
    "source_branch": "main",
}
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
myst_enable_extensions = ["colon_fence"]
mermaid_version = "11.12.0"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
copybutton_exclude = ".linenos, .gp"
