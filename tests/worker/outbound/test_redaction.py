"""What a target echoes of credentials, in all spellings, is blanked."""

import asyncio
import base64
import html
import json
import threading
import tracemalloc
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from aiohttp import web

from jobfleet_worker.outbound.http_call import MAX_KEPT_BYTES, HttpAnswer
from jobfleet_worker.outbound.redaction import Redaction, credentials_in
from jobfleet_worker.outbound.refusals import CallFailed, TargetForbidden
from tests.worker.outbound.target_server import TargetServer, client, get

SECRETS = [
    "s3cret-value",
    'with "quotes" & <tags>/slashes\\and+plus',
    "caf\xe9-\xff-value",
    "per%41cent\\nliteral",
    "&amp;-in-itself",
    "aaaaaaaaaaaa",
    "0123456789" * 800,
]


def spellings(secret: str) -> dict[str, str]:
    """The ways in which servers write what they were sent."""
    octets = secret.encode()
    escaped = json.dumps(secret)[1:-1]
    return {
        "plain": secret,
        "JSON": escaped,
        "JSON in JSON": json.dumps(json.dumps(secret)),
        "JSON, nothing but escapes": "".join(f"\\u{ord(each):04X}" for each in secret),
        "JSON of PHP": escaped.replace("/", "\\/"),
        "JSON of Go": escaped.replace("&", "\\u0026").replace("<", "\\u003c"),
        "URL": quote(secret, safe=""),
        "URL in lower case": quote(secret, safe="").lower() if secret.islower() else "",
        "form": quote_plus(secret),
        "URL in a URL": quote(quote(secret, safe=""), safe=""),
        "HTML": html.escape(secret),
        "HTML by number": "".join(f"&#{ord(each)};" for each in secret),
        "HTML by hexadecimal number": "".join(f"&#x{ord(each):X};" for each in secret),
        "JSON in HTML": html.escape(json.dumps(secret)),
        "Latin-1": octets.decode("latin-1"),
        "hexadecimal": octets.hex(),
        "bytes of Python": "".join(f"\\x{octet:02x}" for octet in octets),
    }


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:12])
def test_no_spelling_of_a_secret_is_left(secret: str) -> None:
    for name, spelled in spellings(secret).items():
        if spelled:
            shown = Redaction([secret]).apply(f'{{"said": "{spelled}"}} end')
            assert shown.replace('\\"', "").replace('"', "").replace("&quot;", "") == (
                "{said: ***} end"
            ), name


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("secret", SECRETS[:3], ids=lambda secret: secret[:12])
def test_base64_of_a_secret_is_blanked_wherever_it_stands(secret: str, encode: object) -> None:
    for before in range(4):
        for after in range(4):
            whole = b"u" * before + secret.encode() + b"x" * after
            shown = Redaction([secret]).apply(encode(whole).decode())  # type: ignore[operator]
            # One character at each end may also hold bits of the neighbours.
            assert "***" in shown
            assert len(shown.replace("***", "")) <= 2 * 4 + 4


def test_what_is_no_secret_stays_as_it_is() -> None:
    text = 'a "b" \\u0041 %41 &amp; caf\xe9 \0 100% \\'
    assert Redaction(["s3cret-value", "", "abc"]).apply(text) == text


def test_credentials_of_headers_are_found_without_their_schemes() -> None:
    basic = base64.b64encode(b"me:pass:word").decode()
    headers = {
        "Authorization": f"Basic {basic}",
        "Cookie": "session=abcdef; theme=x",
        "X-Api-Key": "key 1",
        "Private-Token": "glpat",
        "Ocp-Apim-Subscription-Key": "azure",
        "X-Plain": "plain",
        "Idempotency-Key": "job",
        "X-Fencing-Token": "7",
    }
    found = set(credentials_in(headers))
    assert found == {basic, "me:pass:word", "pass:word", "abcdef", "x", "key 1", "glpat", "azure"}


def echoing(before: int, spelled: str) -> object:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text="x" * before + spelled, headers={"X-Echo": spelled})

    return answer


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key", "Private-Token"])
async def test_a_credential_that_the_job_wrote_itself_is_blanked_too(
    target: TargetServer, header: str
) -> None:
    target.answer = echoing(0, "literal-credential")  # type: ignore[assignment]
    answer = await get(client(), target.url(), headers={header: "literal-credential"})
    assert (answer.body, answer.header("X-Echo")) == ("***", "***")


@pytest.mark.parametrize("spelling", ["plain", "URL", "JSON, nothing but escapes"])
@pytest.mark.parametrize("seen", [0, 1, 5, 11, 40])
async def test_a_secret_that_the_limit_cuts_is_blanked(
    target: TargetServer, spelling: str, seen: int
) -> None:
    secret = "s3cret-va/ue"
    target.answer = echoing(MAX_KEPT_BYTES - seen, spellings(secret)[spelling])  # type: ignore[assignment]
    caller = client(secrets={"TOKEN": secret}, secret_hosts={"TOKEN": ("127.0.0.1",)})
    answer = await get(caller, target.url())
    assert len(answer.body) <= MAX_KEPT_BYTES
    assert set(answer.body) <= {"x", "*"}


def test_many_credentials_and_a_long_echo_take_little_memory() -> None:
    redaction = Redaction(["a" * length for length in range(4, 100)])
    text = "a" * 100_000
    tracemalloc.start()
    try:
        assert redaction.apply(text) == "***"
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


async def test_the_loop_goes_on_while_a_large_answer_is_looked_through(
    target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    apply = Redaction.apply

    def noted(self: Redaction, text: str) -> str:
        if len(text) > 50_000:
            threads.append(threading.get_ident())
        return apply(self, text)

    monkeypatch.setattr(Redaction, "apply", noted)
    target.answer = echoing(100_000, "literal-credential")  # type: ignore[assignment]
    answer = await get(client(), target.url(), headers={"X-Api-Key": "literal-credential"})
    assert answer.body.endswith("x***")
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    "headers",
    [
        {f"X-Token-{number}": "credential" for number in range(33)},
        {"Cookie": "; ".join(f"c{number}=credential" for number in range(33))},
    ],
    ids=["headers", "cookies"],
)
async def test_more_credentials_than_one_call_needs_are_refused(
    target: TargetServer, headers: dict[str, str]
) -> None:
    with pytest.raises(TargetForbidden, match="more than 32 credentials"):
        await get(client(), target.url(), headers=headers)


TOKEN = "S3cret-0f-this-host"


def shows_a_part(text: str) -> bool:
    """Whether four characters of the secret stand in a text, in whatever case."""
    pieces = {TOKEN[at : at + 4].lower() for at in range(len(TOKEN) - 3)}
    return any(piece in text.lower() for piece in pieces)


async def raw(*pieces: bytes) -> HttpAnswer:
    """Call a server that sends these bytes, each piece when the one before has been read."""

    done = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.1)  # so that the caller reads the pieces one by one
        writer.close()
        done.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    caller = client(secrets={"TOKEN": TOKEN}, secret_hosts={"TOKEN": ("127.0.0.1",)})
    async with server:
        try:
            return await get(caller, f"http://127.0.0.1:{port}/", timeout_seconds=60)
        finally:
            await done.wait()


@pytest.mark.parametrize("change", [str, str.lower, str.upper, str.title])
async def test_a_secret_in_the_name_of_a_header_is_blanked(change: Callable[[str], str]) -> None:
    name = f"X-{change(TOKEN)}-Echo"
    answer = await raw(f"HTTP/1.1 200 X\r\n{name}: 1\r\nContent-Length: 0\r\n\r\n".encode())
    assert answer.headers == {"X-***-Echo": "1", "Content-Length": "0"}


@pytest.mark.parametrize("before", range(1, 20, 4))
@pytest.mark.parametrize("place", ["value", "name", "reason"])
async def test_an_error_with_a_line_that_is_too_long_ends_in_no_beginning_of_a_secret(
    place: str, before: int
) -> None:
    line = "x" * before + TOKEN * 4_000
    heads = {"value": f"X-A: {line}", "name": f"{line}: 1", "reason": ""}
    head = f"HTTP/1.1 200 {line if place == 'reason' else 'X'}\r\n{heads[place]}\r\n\r\n"
    with pytest.raises(CallFailed) as failed:
        await raw(head.encode())
    assert "more than" in str(failed.value)
    assert not shows_a_part(str(failed.value)), str(failed.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"HTTP/1.1 200 X\r\n", b" y: 1\r\n\r\n"),
        (b"HTTP/1.1 200 X\r\nbad ", b": 1\r\n\r\n"),
        (b"HTTP/1.1 2x", b"\r\n\r\n"),
        (b"HTTP/1.1 200 X\r\nX-A: ", b"\0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("at", [5, 14])
async def test_an_error_quotes_no_part_of_a_secret_that_came_in_two_pieces(
    before: bytes, after: bytes, at: int
) -> None:
    text = TOKEN.encode()
    with pytest.raises(CallFailed, match="400") as failed:
        await raw(before + text[:at], text[at:] + after)
    assert not shows_a_part(str(failed.value)), str(failed.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("reading: b'aS3cret-0...'.", "reading: b'a***...'."),
        ("400, message=\"reading: b'aS3cr...'.\", url='http://h'", None),
        ("bad:\n\n  b'name: S3cret'\n   ^", "bad:\n\n  b'name: ***'\n   ^"),
        ("it ends in S3cr", "it ends in ***"),
        ("it ends in S3c", "it ends in S3c"),
        ("S3cret is a word within it", "S3cret is a word within it"),
    ],
)
def test_beginnings_of_a_secret_are_blanked_where_a_text_was_cut(
    text: str, shown: str | None
) -> None:
    expected = text.replace("S3cr", "***") if shown is None else shown
    assert Redaction([TOKEN]).apply(text, is_cut=True) == expected
    assert Redaction([TOKEN]).apply(text) == text
