"""Answers that have no body by their status, from servers that send one all the same.

aiohttp (seen in 3.14.5) reads such a body as the head of a second answer and throws the first away.
So a call that the target has carried out would count as failed and be repeated.
"""

from __future__ import annotations

from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EMPTY_PAYLOAD

_FIRST_FINAL_STATUS = 200
_END_OF_HEAD = b"\n\r\n"


class BodilessAnswer(ResponseHandler):
    """Reads one answer and leaves what follows it unread, if it has no body.

    The parser is given each head by itself, since it fails on the whole piece otherwise.
    """

    _last_bytes = b""
    _is_head_over = False
    _has_body = True

    def data_received(self, data: bytes) -> None:
        """Take a piece of the connection as it comes."""
        while data and not self._is_head_over:
            end = self._end_of_head(data)
            super().data_received(data[:end])
            data = data[end:]
        if data and self._has_body:
            super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Note what the head of an answer says; interim ones (1xx) are not the answer."""
        message, payload = data
        if message.code >= _FIRST_FINAL_STATUS:
            self._is_head_over = True
            self._has_body = payload is not EMPTY_PAYLOAD
        super().feed_data(data, size)

    def _end_of_head(self, data: bytes) -> int:
        """Return where a head ends in this piece, else the piece's own end."""
        seen = self._last_bytes + data
        at = seen.find(_END_OF_HEAD)
        if at < 0:
            self._last_bytes = seen[-len(_END_OF_HEAD) + 1 :]
            return len(data)
        end = at + len(_END_OF_HEAD) - len(self._last_bytes)
        self._last_bytes = b""
        return end
