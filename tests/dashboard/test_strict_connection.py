"""What one step takes of a request, what bodies of small chunks may carry, and odd lines."""

from __future__ import annotations

import h11
import pytest

from jobfleet_dashboard.strict_connection import (
    CHUNK_BYTES,
    FREE_CHUNKS,
    STEP_EVENTS,
    StrictConnection,
)

HEAD = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(size: int, count: int = 1) -> bytes:
    return b"%x\r\n%s\r\n" % (size, b"a" * size) * count


def step(connection: StrictConnection) -> list[object]:
    """Return the events of one step."""
    connection.begin_step()
    events: list[object] = []
    while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        events.append(event)
    return events


def read(*pieces: bytes) -> bytes:
    """Return the body of a complete request that comes in these pieces."""
    connection = StrictConnection()
    events: list[object] = []
    for piece in pieces:
        connection.receive_data(piece)
        events += step(connection)
        while connection.interrupted:
            events += step(connection)
    assert isinstance(events[-1], h11.EndOfMessage)
    return b"".join(bytes(event.data) for event in events if isinstance(event, h11.Data))


def in_bytes(text: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in text]


@pytest.mark.parametrize("before", [b"", HEAD + b"Content-Length: 3\r\n\r\nabc"])
def test_a_step_takes_no_more_than_its_share_of_what_came(before: bytes) -> None:
    connection = StrictConnection()
    connection.receive_data(before + CHUNKED + chunk(1, FREE_CHUNKS) + END)
    if before:
        step(connection)
        for answer in (h11.Response(status_code=200, headers=[]), h11.EndOfMessage()):
            connection.send(answer)
        connection.start_next_cycle()
    steps = [len(step(connection))]
    while connection.interrupted:
        steps.append(len(step(connection)))
    assert max(steps) <= STEP_EVENTS
    assert sum(steps) >= FREE_CHUNKS + 2
    assert connection.their_state is h11.DONE


def test_an_ordinary_body_that_came_at_once_is_one_step() -> None:
    connection = StrictConnection()
    connection.receive_data(HEAD + b"Content-Length: 200000\r\n\r\n" + b"a" * 200_000)
    step(connection)
    assert (connection.interrupted, connection.their_state) == (False, h11.DONE)


@pytest.mark.parametrize("before", [b"", chunk(FREE_CHUNKS * CHUNK_BYTES // 2)])
def test_a_body_of_tiny_chunks_is_refused_once_it_has_too_many(before: bytes) -> None:
    assert len(read(CHUNKED + chunk(1, FREE_CHUNKS) + END)) == FREE_CHUNKS
    with pytest.raises(h11.RemoteProtocolError, match="small chunks"):
        read(CHUNKED + before + chunk(1, FREE_CHUNKS + 1) + END)


def test_the_chunks_of_one_request_are_not_counted_for_the_next() -> None:
    connection = StrictConnection()
    for _ in range(2):
        connection.receive_data(CHUNKED + chunk(1, FREE_CHUNKS) + END)
        step(connection)
        while connection.interrupted:
            step(connection)
        for answer in (h11.Response(status_code=200, headers=[]), h11.EndOfMessage()):
            connection.send(answer)
        connection.start_next_cycle()


def test_a_long_body_of_larger_chunks_is_taken() -> None:
    count = 3 * FREE_CHUNKS
    assert len(read(CHUNKED + chunk(CHUNK_BYTES, count) + END)) == CHUNK_BYTES * count


@pytest.mark.parametrize(
    "body",
    [
        b"0\r\nX: y\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\nX: y\r\n z\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        b"0\r\n\n",
        b"000\r\n\n\r\n",
        b"0;a\r\nX: y\r\n\r\n",
        b"3;a\rb\r\nabc\r\n" + END,
        b"3;a\nb\r\nabc\r\n" + END,
        b"3\nabc\r\n" + END,
        b"3;a\r\r\nabc\r\n" + END,
        b"3\r\nabc\n" + END,
        b"3\r\nabc\r\r\n" + END,
        b"3\r\nabc" + END,
        b"0;a\rb\r\n\r\n",
        b"3;" + b"a" * 2_000 + b"\r\nabc\r\n" + END,
    ],
)
@pytest.mark.parametrize("before", [b"", b"3\r\nabc\r\n"])
def test_lines_in_a_body_that_others_may_read_in_another_way_are_refused(
    before: bytes, body: bytes
) -> None:
    for pieces in ([CHUNKED + before + body], in_bytes(CHUNKED + before + body)):
        with pytest.raises(h11.RemoteProtocolError):
            read(*pieces)


@pytest.mark.parametrize(
    "body", [b"3\r\n\n\r0\r\n", b"3;a=b \r\n\n\r0\r\n", b"1\r\n\n\r\n02 \r\n\r0\r\n"]
)
@pytest.mark.parametrize("end", [END, b"000;last\r\n\r\n"])
def test_chunks_as_they_should_be_are_read_however_they_come(body: bytes, end: bytes) -> None:
    assert read(CHUNKED + body + end) == read(*in_bytes(CHUNKED + body + end)) == b"\n\r0"


@pytest.mark.parametrize("version", [b"1.2", b"2.0", b"0.9", b"1.9", b"3.0"])
def test_other_versions_are_refused(version: bytes) -> None:
    with pytest.raises(h11.RemoteProtocolError):
        read(HEAD.replace(b"1.1", version) + b"Content-Length: 0\r\n\r\n")


def test_an_answer_before_the_end_of_its_request_says_that_the_connection_closes() -> None:
    connection = StrictConnection()
    connection.receive_data(HEAD + b"Content-Length: 9\r\n\r\n")
    step(connection)
    answer = connection.send(h11.Response(status_code=401, headers=[(b"content-length", b"0")]))
    assert b"connection: close\r\n" in answer.lower()
