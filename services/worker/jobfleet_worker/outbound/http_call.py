"""One call as a job describes it, and what came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

MAX_KEPT_BYTES = 256 * 1024
"""Size of an answer's body that is kept, as JSON; the rest is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """What to send.

    Attributes:
        job_type: whose share of the look-ups of names it uses.
        headers: the job's own; secrets in them are still references.
        own_headers: set by us, over the job's.
        timeout_seconds: from the start to the last byte of the answer.
        follow_redirects: up to five, each checked like a first address.
    """

    job_type: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    own_headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_seconds: float
    follow_redirects: bool = False

    @property
    def host(self) -> str:
        """Host and port, for logs; never the path, which may hold what others must not see."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def with_default_headers(self, **headers: str) -> HttpCall:
        """Return the call with headers that the job has not set itself."""
        named = {name.lower() for name in self.headers}
        ours = {k.replace("_", "-"): v for k, v in headers.items()}
        missing = {k: v for k, v in ours.items() if k.lower() not in named}
        return replace(self, own_headers={**missing, **self.own_headers})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What came back, as the trail keeps it.

    Attributes:
        body: text; undecodable bytes are replaced.
        truncated: there was more than is kept.
        url: where a redirect led, ``None`` if none was followed.
    """

    status: int
    headers: Mapping[str, str]
    body: str
    duration_ms: int
    truncated: bool = False
    url: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form that ``result``, ``lastResponse`` and ``/logs`` show."""
        shown: dict[str, Any] = {
            "statusCode": self.status,
            "headers": dict(self.headers),
            "body": self.body,
            "truncated": self.truncated,
            "durationMs": self.duration_ms,
        }
        return shown if self.url is None else shown | {"url": self.url}

    def header(self, name: str) -> str | None:
        """Return a header by its name in any case."""
        wanted = name.lower()
        return next((v for k, v in self.headers.items() if k.lower() == wanted), None)
