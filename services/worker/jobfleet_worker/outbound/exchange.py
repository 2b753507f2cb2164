"""One request and what is kept of its answer: bounded, readable, without credentials."""

from __future__ import annotations

import encodings
import encodings.aliases
import pkgutil
import time
from dataclasses import dataclass

import aiohttp
from yarl import URL

from jobfleet_contracts.codec import encode
from jobfleet_contracts.credentials import HIDDEN, is_secret_name
from jobfleet_contracts.own_thread import in_own_thread
from jobfleet_worker.handlers.outcome_turns import outcome_turn
from jobfleet_worker.outbound.http_call import MAX_KEPT_BYTES, HttpAnswer, HttpCall
from jobfleet_worker.outbound.redaction import Redaction
from jobfleet_worker.outbound.refusals import CallFailed

MAX_HEADER_CHARACTERS = 16_000
"""Total of the answer's headers that is kept; if there are more, long ones are cut."""
_LONG = 1_000
_LARGE = 8_000
"""Bytes from which on a thread makes the text. On the loop the headers of one job could hold up all
others for a second."""
_SLOW_CODECS = frozenset({"idna", "punycode"})
"""No character sets, but Python would decode with them: a minute for what is kept of an answer."""
_CHARSETS = frozenset(each.name for each in pkgutil.iter_modules(encodings.__path__)) - _SLOW_CODECS
"""Names of Python's codecs. Python keeps each name that it is asked for, unknown ones too."""
_LONGEST_CHARSET = 100
_CUT = "…"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One hop of a call.

    Attributes:
        seconds: what is left of the call's time.
        began: when the call began, on the monotonic clock.
    """

    call: HttpCall
    url: URL
    seconds: float
    began: float
    redaction: Redaction

    async def answer(self, response: aiohttp.ClientResponse) -> HttpAnswer:
        """Read what is kept of an answer; the connection is closed on the rest."""
        body = await _read(response, MAX_KEPT_BYTES + self.redaction.longest)
        is_large = len(body) > _LARGE
        arguments = (body, response.charset)
        kept, is_cut = (
            await in_own_thread(self._kept_in_turn, *arguments, name="kept-answer")
            if is_large
            else self._kept(*arguments)
        )
        return HttpAnswer(
            status=response.status,
            headers=self._headers(response),
            body=kept,
            duration_ms=self._milliseconds(),
            truncated=len(body) > MAX_KEPT_BYTES or is_cut,
        )

    def _kept_in_turn(self, body: bytes, charset: str | None) -> tuple[str, bool]:
        with outcome_turn():
            return self._kept(body, charset)

    def _kept(self, body: bytes, charset: str | None) -> tuple[str, bool]:
        """Return the text that is kept, and whether it is only a part."""
        text = self.redaction.apply(_decode(body, charset))
        # Cut after the redaction: half a credential at the limit would not be recognised.
        kept = _cut(text)
        return kept, kept != text

    def failure(self, message: str) -> CallFailed:
        """Return how the attempt ends when there was no whole answer."""
        text = self.redaction.apply(message, is_cut=True)
        response = {"statusCode": None, "error": text, "durationMs": self._milliseconds()}
        return CallFailed(text, details={"response": response})

    def _headers(self, response: aiohttp.ClientResponse) -> dict[str, str]:
        """Return the headers as text that JSON can hold; several of one name are joined."""
        shown: dict[str, str] = {}
        left = MAX_HEADER_CHARACTERS
        short_first = sorted(response.headers.items(), key=lambda item: len(item[1]) > _LONG)
        for each, value in short_first:
            name = str(each)  # aiohttp's own kind of string is none that JSON takes as a key
            text = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            text = HIDDEN if is_secret_name(name) else self.redaction.apply(text)
            if len(text) > left:
                text = text[:left] + _CUT
            left = max(0, left - len(text) - len(name))
            name = self.redaction.apply_to_name(name)
            shown[name] = f"{shown[name]}, {text}" if name in shown else text
        return shown

    def _milliseconds(self) -> int:
        return round((time.monotonic() - self.began) * 1000)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    kept = bytearray()
    async for chunk in response.content.iter_any():
        kept += chunk
        if len(kept) > most:
            break
    return bytes(kept[: most + 1])


def _cut(text: str) -> str:
    """Return as much as takes ``MAX_KEPT_BYTES`` in JSON, where a NUL takes six."""
    most = MAX_KEPT_BYTES + len('""')
    if len(encode(text)) <= most:
        return text
    kept, too_many = 0, MAX_KEPT_BYTES + 1
    while too_many - kept > 1:
        middle = (kept + too_many) // 2
        if len(encode(text[:middle])) <= most:
            kept = middle
        else:
            too_many = middle
    return text[:kept]


def _decode(body: bytes, charset: str | None) -> str:
    name = encodings.normalize_encoding((charset or "")[:_LONGEST_CHARSET]).lower()
    name = encodings.aliases.aliases.get(name, name)
    try:
        text = body.decode(name if name in _CHARSETS else "utf-8", "replace")
    except (LookupError, ValueError):
        text = body.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode("utf-8")
