"""Which headers a job may set on an outbound call."""

from __future__ import annotations

from collections.abc import Mapping

from jobfleet_contracts.header_text import MAX_HEADERS, is_header_name, value_problem
from jobfleet_worker.outbound.redaction import credentials_in
from jobfleet_worker.outbound.refusals import TargetForbidden

MAX_CREDENTIALS = 32
"""In the headers of a call, each cookie counted: every one is looked for in all of the answer."""
SMUGGLING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Host, hop-by-hop and length: who sets these can make a proxy see another request than ours."""


class HeaderRules:
    """Checks names and values; ``allowed`` and ``blocked`` are the operator's lists."""

    def __init__(self, *, allowed: tuple[str, ...] = (), blocked: tuple[str, ...] = ()) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)
        self._blocked = frozenset(name.lower() for name in blocked)

    def check(self, headers: Mapping[str, str]) -> None:
        """Check all headers of one call.

        Raises:
            TargetForbidden: names the header, never its value.
        """
        if len(headers) > MAX_HEADERS:
            raise TargetForbidden(f"headers: more than {MAX_HEADERS}")
        seen: set[str] = set()
        for name, value in headers.items():
            self._check_name(name, seen)
            if (problem := value_problem(value)) is not None:
                raise TargetForbidden(f"the header {name} is refused; {problem}")
        if sum(1 for _ in credentials_in(headers)) > MAX_CREDENTIALS:
            raise TargetForbidden(
                f"headers: more than {MAX_CREDENTIALS} credentials, each cookie counted; leave out "
                "what the target does not need"
            )

    def _check_name(self, name: str, seen: set[str]) -> None:
        lower = name.lower()
        if not is_header_name(name):
            raise TargetForbidden(f"the header {name[:100]!r} is refused: it is not a valid name")
        if lower in SMUGGLING:
            raise TargetForbidden(f"the header {name} is set by the connection, not by a job")
        if lower in self._blocked or (self._allowed and lower not in self._allowed):
            raise TargetForbidden(
                f"the header {name} is one that the operator does not let jobs set"
            )
        if lower in seen:
            raise TargetForbidden(f"the header {name} is named twice")
        seen.add(lower)
