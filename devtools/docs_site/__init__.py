"""The documentation as a site: ``python -m devtools.docs_site`` writes it to ``build/docs``."""
