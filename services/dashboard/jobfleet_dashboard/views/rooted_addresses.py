"""Addresses in templates are written from the application's root, wherever it is served."""

from __future__ import annotations

import re

from jinja2.ext import Extension

_ATTRIBUTE = r'(?<![\w:-])(href|src|action|formaction|hx-get|hx-post|hx-sse:connect)="'
_LITERAL = re.compile(_ATTRIBUTE + r"(?=/)")
_EXPRESSION = re.compile(_ATTRIBUTE + r"\{\{\s*(.+?)\s*\}\}", re.DOTALL)


class RootedAddresses(Extension):
    """Puts the root path before each address, so that no template can forget it.

    ``href="/jobs"`` becomes ``href="{{ root_path }}/jobs"``, and ``href="{{ link }}"`` becomes
    ``href="{{ rooted(link) }}"``; both names are globals of the environment.
    """

    def preprocess(
        self,
        source: str,
        name: str | None,  # noqa: ARG002 - the engine's signature
        filename: str | None = None,  # noqa: ARG002
    ) -> str:
        """Return the template's source with the root path in it."""
        with_values = _EXPRESSION.sub(r'\1="{{ rooted(\2) }}', source)
        return _LITERAL.sub(r'\1="{{ root_path }}', with_values)
