"""HTTP/1.1 with bounds on requests that are never finished, and on what one takes of the loop."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import h11
import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from jobfleet_contracts.codec import encode
from jobfleet_dashboard.problems import MEDIA_TYPE, invalid, problem_document
from jobfleet_dashboard.strict_connection import StrictConnection

CONNECTION_DROPPED = "connection.dropped"
HEADER_SECONDS = 10.0
"""From the connection, or the first byte of a further request, to the end of its headers."""
STALL_SECONDS = 30.0
"""Between two pieces of a body, and for a client to take more of an answer."""
LINGER_SECONDS = 2.0
"""For a client to stop sending the rest of a request that is answered already."""
MAX_UNFINISHED = 100
"""Requests of one address that are not complete; a newer one takes the place of the oldest."""

_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_UNREADABLE = (
    "the request cannot be read: send version 1.0 or 1.1 of HTTP, at most 16 KiB of address and "
    "headers, and one plain framing of the body"
)
_READ = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)

_log = structlog.get_logger()


class BoundedHttp(H11Protocol):
    """Ends connections whose request does not come, so that they cannot use up all there are.

    An address may be a proxy's with many clients behind it. It is therefore bounded in requests
    that are not complete, which a proxy has few of, and never in open connections.
    """

    conn: StrictConnection
    flow: _Flow

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = StrictConnection()
        self.unfinished_since: float | None = None
        self._lingers = False
        self._own_transport: asyncio.Transport
        self._next_step: asyncio.Handle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        self._own_transport = transport
        closed_by_us = cast("asyncio.Transport", _ClosedByUs(transport, self))
        super().connection_made(closed_by_us)
        self.flow = _Flow(closed_by_us)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._finish()
        self._cancel_stalled()
        self._cancel_next_step()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, and wait for the rest of the request, if there is one."""
        if self._lingers:
            return
        in_body = self.conn.their_state is h11.SEND_BODY
        super().data_received(data)
        self._look_again(progressed=in_body)

    def handle_events(self) -> None:
        """Take one step of what was received; the next one follows when others had their turn."""
        self.conn.begin_step()
        super().handle_events()
        self._cancel_next_step()
        if self.conn.interrupted and not self.is_closing():
            self.flow.hold()
            self._next_step = self.loop.call_soon(self._take_step)
        else:
            self.flow.release()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it says less
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
            self._refuse()
        self.transport.close()

    def _refuse(self) -> None:
        """Send the same form of answer as for every other error."""
        body = encode(problem_document(invalid(_UNREADABLE)))
        headers = [
            ("content-type", MEDIA_TYPE),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        head = h11.Response(status_code=400, reason=b"Bad Request", headers=headers)
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")

    def on_response_complete(self) -> None:
        """Read the next request, if it has come already."""
        super().on_response_complete()
        self._look_again(progressed=True)

    def close(self) -> None:
        """Close the connection; while a request still comes, end only our half of it first.

        What is closed while the client sends is reset, and the client may lose the answer that
        says why.
        """
        own = self._own_transport
        rest_comes = self.conn.their_state in (h11.SEND_BODY, h11.ERROR)
        if self._lingers or own.is_closing() or not rest_comes or not own.can_write_eof():
            own.close()
            return
        self._lingers = True
        self._begin()
        self._wait(LINGER_SECONDS)
        self._cancel_next_step()
        own.write_eof()
        own.resume_reading()

    def is_closing(self) -> bool:
        """Whether nothing more is read or said."""
        return self._lingers or self._own_transport.is_closing()

    def shutdown(self) -> None:
        """End the connection as soon as its request is answered."""
        if self._lingers:
            self._own_transport.close()
        else:
            super().shutdown()

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

    def _take_step(self) -> None:
        self._next_step = None
        if self.is_closing():
            return
        in_body = self.conn.their_state is h11.SEND_BODY
        self.handle_events()
        self._look_again(progressed=in_body)

    def _look_again(self, *, progressed: bool) -> None:
        """Set the deadline by what of the request is missing; only a body gets more time."""
        if self._lingers:
            return
        state = self.conn.their_state
        if state in _READ or self.is_closing():
            self._finish()
        elif state is h11.SEND_BODY:
            self._begin()
            self._wait(STALL_SECONDS)
        elif self.conn.has_more:
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

    def _cancel_next_step(self) -> None:
        if self._next_step is not None:
            self._next_step.cancel()
            self._next_step = None

    def _too_late(self) -> None:
        if self._lingers:
            self._own_transport.close()
            return
        if self.flow.read_paused:  # we do not take what the client would send
            self._wait(STALL_SECONDS)
            return
        if self.conn.their_state is h11.IDLE and self.conn.has_more:
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
            self._own_transport.abort()  # a close would wait for the client
        else:
            self._own_transport.close()


class _ClosedByUs:
    """The transport as uvicorn sees it, which closes it where an answer ends."""

    def __init__(self, transport: asyncio.Transport, protocol: BoundedHttp) -> None:
        self._transport = transport
        self.close = protocol.close
        self.is_closing = protocol.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Flow(FlowControl):
    """Reads on only if the application takes more and all that came before is taken."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._held = False

    def hold(self) -> None:
        """Read nothing until ``release``, whatever the application says."""
        self._held = True
        self._transport.pause_reading()

    def release(self) -> None:
        """Read on, if the application takes more."""
        if self._held:
            self._held = False
            if not self.read_paused:
                self._transport.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless held."""
        if self._held:
            self.read_paused = False
        else:
            super().resume_reading()
