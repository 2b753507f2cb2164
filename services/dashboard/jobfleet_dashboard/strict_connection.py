"""One reading of each request, taken in steps of bounded work."""

from __future__ import annotations

import re
from typing import Any

import h11

STEP_EVENTS = 100
"""Pieces of a request that are taken before others have their turn."""
FREE_CHUNKS = 1_000
"""A body may have so many chunks, whatever they carry."""
CHUNK_BYTES = 64
"""What the chunks of a body with more than ``FREE_CHUNKS`` must carry on average."""

_PIECE = 4_096
_MAX_SIZE_LINE = 1_024
_HEAD_END = re.compile(rb"\r\n\r\n")
_ODD_LINE = re.compile(rb"(?<!\r)\n|\n[ \t]")
_LAST_CHUNK = re.compile(rb"0+[ \t]*(;|$)")


class StrictConnection(h11.Connection):
    """Refuses what a proxy before us might read in another way, and bodies of tiny chunks.

    Each chunk costs as much as some thousand bytes. Without an allowance a slow line of chunks of
    one byte keeps the event loop busy.

    Attributes:
        interrupted: the step is over, and there may be more to take.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        self.interrupted = False
        self._events_left = STEP_EVENTS
        self._unread = bytearray()
        self._chunked = False
        self._footer = b""
        self._at_size_line = False
        self._chunks = 0
        self._body_bytes = 0

    @property
    def has_more(self) -> bool:
        """Whether something was received that is no event yet."""
        return bool(self._unread or self.trailing_data[0])

    def begin_step(self) -> None:
        """Allow the next ``STEP_EVENTS`` events."""
        self.interrupted = False
        self._events_left = STEP_EVENTS

    def receive_data(self, data: bytes) -> None:
        """Keep what was received until ``next_event`` needs it."""
        self._unread += data

    def send(self, event: Any) -> Any:
        """Return the bytes of what we say.

        An answer before the request's end says that the connection closes: what still comes is
        not read.
        """
        if isinstance(event, h11.Response) and self.their_state is h11.SEND_BODY:
            event = h11.Response(
                status_code=event.status_code,
                headers=[*event.headers, (b"connection", b"close")],
                reason=event.reason,
            )
        return super().send(event)

    def next_event(self) -> Any:
        """Return the next event; ``NEED_DATA`` also at the end of a step.

        Raises:
            RemoteProtocolError: the request has both framings, trailers, another version than 1.0
                or 1.1, too many small chunks, or a line that others end elsewhere. The server
                answers 400 and closes the connection, because the start of the next request is
                then unknown.
        """
        if not self._events_left:
            self.interrupted = True
            return h11.NEED_DATA
        self._events_left -= 1
        # The whole is not handed on at once: each look at ``trailing_data`` copies it.
        while (event := self._checked_event()) is h11.NEED_DATA and self._unread:
            super().receive_data(bytes(self._unread[:_PIECE]))
            del self._unread[:_PIECE]
        return event

    def _checked_event(self) -> Any:
        if self.their_state is h11.IDLE:
            self._check_lines()
        elif self._at_size_line:
            if not self._has_size_line():
                return h11.NEED_DATA
            self._at_size_line = False
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._check_request(event)
        elif isinstance(event, h11.Data) and self._chunked:
            self._count(event)
        return event

    def _check_lines(self) -> None:
        """Refuse a line feed alone, and a header that goes on in the next line.

        h11 takes both, and a proxy may take neither for an end of the line.
        """
        received, _ = self.trailing_data
        end = _HEAD_END.search(received)
        if _ODD_LINE.search(received, 0, end.start() if end else len(received)):
            raise h11.RemoteProtocolError("a line of the head ends in an unusual way")

    def _check_request(self, request: h11.Request) -> None:
        names = {name for name, _ in request.headers}
        if request.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("neither HTTP/1.0 nor HTTP/1.1")
        if {b"content-length", b"transfer-encoding"} <= names:
            raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        self._chunked = self._at_size_line = b"transfer-encoding" in names
        if self._chunked and request.http_version == b"1.0":
            raise h11.RemoteProtocolError("Transfer-Encoding in a request of HTTP/1.0")
        self._footer = b""
        self._chunks = self._body_bytes = 0

    def _count(self, data: h11.Data) -> None:
        self._body_bytes += len(data.data)
        self._at_size_line = data.chunk_end
        if not data.chunk_end:
            return
        self._footer = b"\r\n"
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self._body_bytes < CHUNK_BYTES * self._chunks:
            raise h11.RemoteProtocolError("too many small chunks")

    def _has_size_line(self) -> bool:
        """Whether all is there that says how the next chunk begins, or that the body ends.

        h11 takes a carriage return in an extension, and trailers with lines that end in any way.
        """
        received, _ = self.trailing_data
        start = len(self._footer)
        if received[:start] != self._footer[: len(received)]:
            raise h11.RemoteProtocolError("a chunk is longer than its size")
        end = received.find(b"\r\n", start)
        line = received[start : end if end >= 0 else None]
        if len(line) > _MAX_SIZE_LINE:
            raise h11.RemoteProtocolError("the size of a chunk is too long a line")
        if end < 0:
            return False
        if b"\r" in line or b"\n" in line:
            raise h11.RemoteProtocolError("the size of a chunk ends in an unusual way")
        if not _LAST_CHUNK.match(line):
            return True
        rest = received[end + 2 : end + 4]
        if not b"\r\n".startswith(rest):
            raise h11.RemoteProtocolError("the body has trailers")
        return rest == b"\r\n"
