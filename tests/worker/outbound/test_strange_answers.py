"""Answers and addresses that stray from the usual are no failures, and stay bounded."""

import asyncio
import encodings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from jobfleet_worker.outbound.exchange import MAX_HEADER_CHARACTERS
from jobfleet_worker.outbound.http_call import HttpAnswer
from jobfleet_worker.outbound.retry_after import LONGEST, retry_after
from tests.worker.outbound.target_server import client, get

AsGiven = Callable[[bytes], object]


async def raw(answer: bytes, path: str = "/", **fields: object) -> tuple[HttpAnswer, str]:
    """Send one call to a server that answers with these bytes; return also the request line."""
    lines: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        got = await get(client(), f"http://127.0.0.1:{port}{path}", **fields)
    return got, lines[0].decode()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/a?sig=ab%2Fcd&t=%7e", "/a?sig=ab%2Fcd&t=%7e"),
        ("/a%2fb/%7Ec;d=1?x=%2B+%3d", "/a%2fb/%7Ec;d=1?x=%2B+%3d"),
        ("/a/../b?c=/../d", "/a/../b?c=/../d"),
        ("/100%?a=%zz&b=%", "/100%?a=%zz&b=%"),
        ("?a=b", "/?a=b"),
        ("/a?b#fragment", "/a?b"),
        ("/two words?q=two words", "/two%20words?q=two%20words"),
        ("/caf\xe9?q=\u2028\x01", "/caf%C3%A9?q=%E2%80%A8%01"),
        ('/"<>\\^`{|}', "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
    ],
)
async def test_path_and_query_are_sent_as_they_are_given(path: str, sent: str) -> None:
    _, line = await raw(OK, path)
    assert line == f"GET {sent} HTTP/1.1\r\n"


@pytest.mark.parametrize("smuggled", ["/a\r\nX-Evil: 1", "/a\nb", "/a?b=\r\n\r\nGET /c", "/\0"])
async def test_no_path_ends_the_request_line(smuggled: str) -> None:
    _, line = await raw(OK, smuggled)
    assert line.count(" ") == 2
    assert "evil: 1" not in line.lower()


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "205 Reset Content"])
async def test_a_body_where_none_belongs_is_left_unread(status: str) -> None:
    text = f"HTTP/1.1 {status}\r\nContent-Length: 4\r\nX-Thing: 7\r\n\r\nbody"
    answer, _ = await raw(text.encode())
    assert answer.status == int(status[:3])
    assert answer.header("X-Thing") == "7"


async def test_a_body_after_the_answer_to_head_is_left_unread() -> None:
    answer, _ = await raw(OK, method="HEAD")
    assert (answer.status, answer.body) == (200, "")


@pytest.mark.parametrize("size", [9_000, 60_000])
async def test_a_long_header_is_kept_in_part(size: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * size + b"\r\nX-Last: 7\r\n"
    answer, _ = await raw(head + b"Content-Length: 2\r\n\r\nok")
    assert (answer.status, answer.body, answer.header("X-Last")) == (200, "ok", "7")
    kept = answer.header("X-Long") or ""
    assert size == 9_000 or kept.endswith("…")
    assert sum(map(len, answer.headers.values())) <= MAX_HEADER_CHARACTERS + 100


def asked(value: str) -> timedelta | None:
    headers = {"Retry-After": value}
    return retry_after(HttpAnswer(status=429, headers=headers, body="", duration_ms=1))


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("4.5", timedelta(seconds=4.5)),
        (" 4 ", timedelta(seconds=4)),
        ("0", timedelta(0)),
        ("9" * 20, LONGEST),
        ("9" * 300, LONGEST),
        ("1e9", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
    ],
)
def test_each_form_of_retry_after_is_a_bounded_wait(value: str, wait: timedelta | None) -> None:
    assert asked(value) == wait


def test_a_date_is_waited_for() -> None:
    wait = asked(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    assert wait is not None
    assert timedelta(seconds=60) < wait <= timedelta(seconds=90)


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("ISO-8859-1", "\xe9"),
        ("latin1", "\xe9"),
        ("windows-1252", "\xe9"),
        ("UTF-8", "\ufffd"),
        ("koi8-r", "\u0418"),
        ("hex", "\ufffd"),
        ("idna", "\ufffd"),
        ("no-such", "\ufffd"),
        ("", "\ufffd"),
    ],
)
async def test_a_body_is_read_in_its_character_set(charset: str, text: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset={charset}\r\n"
    answer, _ = await raw(head.encode() + b"Content-Length: 1\r\n\r\n\xe9")
    assert answer.body == text


async def test_unknown_character_sets_are_not_remembered() -> None:
    await raw(OK)
    before = len(encodings._cache)
    for name in ("no-such", "a" * 60_000, "utf" + "-" * 60_000 + "8"):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset={name}\r\n"
        answer, _ = await raw(head.encode() + b"Content-Length: 2\r\n\r\nok")
        assert answer.body == "ok"
    assert len(encodings._cache) == before
