"""Which headers a job may set on an outbound call."""

from __future__ import annotations

import re
from collections.abc import Mapping

from jobfleet_worker.outbound.refusals import TargetForbidden

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_MAX_HEADERS = 100
_MAX_VALUE = 8_000

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
        if len(headers) > _MAX_HEADERS:
            raise TargetForbidden(f"headers: more than {_MAX_HEADERS}")
        seen: set[str] = set()
        for name, value in headers.items():
            self._check_name(name, seen)
            if _BAD_VALUE.search(value):
                raise TargetForbidden(
                    f"header {name}: its value holds a line break, a control character or one "
                    "beyond Latin-1"
                )
            if len(value) > _MAX_VALUE:
                raise TargetForbidden(f"header {name}: its value is over {_MAX_VALUE:,} characters")

    def _check_name(self, name: str, seen: set[str]) -> None:
        lower = name.lower()
        if not _NAME.fullmatch(name):
            raise TargetForbidden(f"header {name[:100]!r}: not a header name")
        if lower in SMUGGLING:
            raise TargetForbidden(f"header {name}: is set by the connection, not by a job")
        if lower in self._blocked or (self._allowed and lower not in self._allowed):
            raise TargetForbidden(f"header {name}: the operator does not let jobs set it")
        if lower in seen:
            raise TargetForbidden(f"header {name}: is named twice")
        seen.add(lower)
