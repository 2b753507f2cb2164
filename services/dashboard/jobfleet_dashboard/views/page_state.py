"""What a browser's page shows, so that its stream sends only what has changed since."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2s
from urllib.parse import urlencode

from fastapi import Request

_TICKING = re.compile(r"(<time[^>]*data-tick=[^>]*>)[^<]*")
_NAME = re.compile(r"[a-z_]{1,40}:[0-9a-f]{8}")
MAX_CHARACTERS = 2_000


@dataclass(slots=True)
class PageState:
    """Which events and which parts a page shows.

    A page's address of its stream carries it, and so does the id of each message: a browser that
    connects again sends the last one as ``Last-Event-ID``.

    Attributes:
        cursor: place in the timeline; everything up to it is shown. Empty if that is not known.
        parts: digest of each part of the page that the stream replaces, by its element's id.
    """

    cursor: str = ""
    parts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> PageState:
        """Return what the browser says that it shows; nothing if it makes no sense."""
        text = request.headers.get("last-event-id") or request.query_params.get("shows", "")
        if len(text) > MAX_CHARACTERS:
            return cls()
        parts, _, cursor = text.partition("~")
        found = [one for one in parts.split(",") if _NAME.fullmatch(one)]
        return cls(cursor, dict(one.split(":") for one in found))

    def __str__(self) -> str:
        """Return the form in which it travels."""
        parts = ",".join(f"{name}:{digest}" for name, digest in self.parts.items())
        return f"{parts}~{self.cursor}"


def digest_of(html: str) -> str:
    """Return eight hex digits that change with what a part shows; spans that tick do not count."""
    return blake2s(_TICKING.sub(r"\1", html).encode(), digest_size=4).hexdigest()


def stream_address(url: str, cursor: str, parts: Mapping[str, str]) -> str:
    """Return the address of a page's stream, with what the page shows."""
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}{urlencode({'shows': str(PageState(cursor, dict(parts)))})}"
