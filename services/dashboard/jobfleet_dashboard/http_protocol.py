"""HTTP/1.1 with bounds on requests that are never finished, and one reading of each request."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

CONNECTION_DROPPED = "connection.dropped"
HEADER_SECONDS = 10.0
"""From the connection, or the first byte of a further request, to the end of its headers."""
STALL_SECONDS = 30.0
"""Between two pieces of a body, and for a client to take more of an answer."""
MAX_UNFINISHED = 100
"""Requests of one address that are not complete; a newer one takes the place of the oldest."""

_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_HEAD_END = re.compile(rb"\r\n\r\n")
_ODD_LINE = re.compile(rb"(?<!\r)\n|\n[ \t]")
_READ = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)

_log = structlog.get_logger()


class BoundedHttp(H11Protocol):
    """Ends connections whose request does not come, so that they cannot use up all there are.

    An address may be a proxy's with many clients behind it. It is therefore bounded in requests
    that are not complete, which a proxy has few of, and never in open connections.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _StrictConnection(h11.SERVER)
        self.unfinished_since: float | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._finish()
        self._cancel_stalled()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, and wait for the rest of the request, if there is one."""
        in_body = self.conn.their_state is h11.SEND_BODY
        super().data_received(data)
        self._look_again(progressed=in_body)

    def send_400_response(self, msg: str) -> None:
        """Answer 400 if no answer has begun, and close the connection.

        The application may still wait for the body, or write its answer: it is told that the
        client is gone. Else both would write to one connection, and each such request would leave
        tracebacks in the log.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Read the next request, if it has come already."""
        super().on_response_complete()
        self._look_again(progressed=True)

    def pause_writing(self) -> None:
        """Wait for the client to take what is written."""
        super().pause_writing()
        self._stalled = self.loop.call_later(
            STALL_SECONDS, self._drop, "the client does not take its answer"
        )

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        self._cancel_stalled()

    def _look_again(self, *, progressed: bool) -> None:
        """Set the deadline by what of the request is missing; only a body gets more time."""
        state = self.conn.their_state
        if state in _READ or self.transport.is_closing():
            self._finish()
        elif state is h11.SEND_BODY:
            self._begin()
            self._wait(STALL_SECONDS)
        elif self.conn.trailing_data[0]:
            self._begin()
        elif progressed:
            self._finish()  # between two requests uvicorn's own time-out holds

    def _begin(self) -> None:
        if self.unfinished_since is None:
            self.unfinished_since = self.loop.time()
            self._wait(HEADER_SECONDS)
            self._make_room()

    def _wait(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _finish(self) -> None:
        self.unfinished_since = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cancel_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _too_late(self) -> None:
        if self.flow.read_paused:  # we do not take what the client would send
            self._wait(STALL_SECONDS)
            return
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self.transport.write(_TIMED_OUT)
        self._drop("the request did not come in time")

    def _make_room(self) -> None:
        """Drop the oldest unfinished request of this address if it has too many."""
        address = self.client and self.client[0]
        unfinished = [
            (since, other)
            for other in self.connections
            if isinstance(other, BoundedHttp)
            and (since := other.unfinished_since) is not None
            and (other.client and other.client[0]) == address
        ]
        if len(unfinished) > MAX_UNFINISHED:
            _, oldest = min(unfinished, key=lambda pair: pair[0])
            oldest._drop(f"its address has more than {MAX_UNFINISHED} unfinished requests")

    def _drop(self, reason: str) -> None:
        _log.info(CONNECTION_DROPPED, client=self.client and self.client[0], reason=reason)
        self._finish()
        if self.flow.write_paused:
            self.transport.abort()  # a close would wait for the client
        else:
            self.transport.close()


class _StrictConnection(h11.Connection):
    """Refuses what a proxy before us might read in another way."""

    def next_event(self) -> Any:
        """Return the next event.

        Raises:
            RemoteProtocolError: the request has both framings, or a line of its head that others
                end elsewhere. The server answers 400 and closes the connection, because the start
                of the next request is then unknown.
        """
        if self.their_state is h11.IDLE:
            self._check_lines()
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if {b"content-length", b"transfer-encoding"} <= names:
                raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
            if b"transfer-encoding" in names and event.http_version < b"1.1":
                raise h11.RemoteProtocolError("Transfer-Encoding in a request of HTTP/1.0")
        return event

    def _check_lines(self) -> None:
        """Refuse a line feed alone, and a header that goes on in the next line.

        h11 takes both, and a proxy may take neither for an end of the line.
        """
        received, _ = self.trailing_data
        end = _HEAD_END.search(received)
        if _ODD_LINE.search(received, 0, end.start() if end else len(received)):
            raise h11.RemoteProtocolError("a line of the head ends in an unusual way")
