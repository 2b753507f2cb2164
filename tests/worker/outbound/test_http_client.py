"""One outbound call: what it sends, what it keeps, and where it stops."""

import time
from typing import Any

import pytest
from aiohttp import web

from jobfleet_worker.outbound.http_call import MAX_KEPT_BYTES
from jobfleet_worker.outbound.refusals import CallFailed, TargetForbidden
from tests.worker.outbound.target_server import (
    Names,
    TargetServer,
    answering,
    client,
    dripping,
    flooding,
    get,
    hanging,
)


async def test_an_answer_is_kept_with_status_headers_and_body(target: TargetServer) -> None:
    target.answer = answering(201, "made", X_Thing="7")
    answer = await get(client(), target.url("/a"), method="POST", body=b"{}")
    assert (answer.status, answer.body, answer.header("x-thing")) == (201, "made", "7")
    assert target.requests[0][0] == "POST"
    assert target.requests[0][3] == b"{}"


async def test_a_name_that_turns_to_a_private_address_is_refused(target: TargetServer) -> None:
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    await names.resolve("rebinding.example")
    with pytest.raises(TargetForbidden, match="loopback"):
        await get(
            client(names, allow_private_targets=False),
            f"http://rebinding.example:{target.port}/",
        )
    assert target.requests == []


async def test_a_name_with_one_forbidden_address_among_good_ones_is_refused(
    target: TargetServer,
) -> None:
    names = Names(["127.0.0.1", "169.254.169.254"])
    with pytest.raises(TargetForbidden, match="metadata"):
        await get(client(names), f"http://mixed.example:{target.port}/")
    assert target.requests == []


async def test_the_address_is_looked_up_once_and_the_connection_goes_there(
    target: TargetServer,
) -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    answer = await get(client(names), f"http://pinned.example:{target.port}/")
    assert (answer.status, names.looked_up) == (200, 1)
    assert target.requests[0][2]["Host"] == f"pinned.example:{target.port}"


async def test_a_redirect_is_not_followed_unless_asked(target: TargetServer) -> None:
    target.answer = answering(302, Location="http://169.254.169.254/")
    answer = await get(client(), target.url())
    assert answer.status == 302


async def test_a_redirect_to_a_metadata_address_is_refused(target: TargetServer) -> None:
    target.answer = answering(302, Location="http://169.254.169.254/latest/meta-data/")
    with pytest.raises(TargetForbidden, match=r"redirected .* metadata"):
        await get(client(), target.url(), follow_redirects=True)


async def test_a_redirect_loop_ends(target: TargetServer) -> None:
    target.answer = answering(307, Location="/again")
    with pytest.raises(TargetForbidden, match="more than 5 redirects"):
        await get(client(), target.url(), follow_redirects=True)
    assert len(target.requests) == 6


async def test_a_hundred_megabytes_are_cut_at_the_limit_and_not_read_on(
    target: TargetServer,
) -> None:
    target.answer = flooding
    began = time.monotonic()
    answer = await get(client(), target.url())
    assert answer.truncated
    assert len(answer.body) == MAX_KEPT_BYTES
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("behaviour", [hanging, dripping])
async def test_a_server_that_hangs_or_drips_is_cut_off_in_time(
    target: TargetServer, behaviour: object
) -> None:
    target.answer = behaviour  # type: ignore[assignment]
    began = time.monotonic()
    with pytest.raises(CallFailed, match=r"no whole answer .* within 0.3 s"):
        await get(client(), target.url(), timeout_seconds=0.3)
    assert time.monotonic() - began < 2


async def test_bytes_that_are_no_text_become_text_that_json_can_hold(
    target: TargetServer,
) -> None:
    async def garbage(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\xff\xfe\x00\xed\xa0\x80", content_type="text/plain")

    target.answer = garbage
    answer = await get(client(), target.url())
    assert answer.body.encode()


@pytest.mark.parametrize("charset", ["punycode", "PunyCode", "idna", "hex", "undefined", "\xff"])
async def test_a_charset_that_is_none_holds_nobody_up(target: TargetServer, charset: str) -> None:
    async def odd(_: web.Request) -> web.StreamResponse:
        kind = {"Content-Type": f"text/plain; charset={charset}"}
        return web.Response(body=b"abcxyz" * 20_000, headers=kind)

    target.answer = odd
    began = time.monotonic()
    assert (await get(client(), target.url())).body.startswith("abcxyz")
    assert time.monotonic() - began < 2


async def test_a_refused_connection_is_worth_another_attempt(target: TargetServer) -> None:
    await target.stop()
    with pytest.raises(CallFailed) as failed:
        await get(client(), target.url())
    assert failed.value.details["response"]["statusCode"] is None
    await target.start()


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_a_target_that_hangs_up_has_been_called_once(
    target: TargetServer, method: str
) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    target.answer = hang_up
    with pytest.raises(CallFailed, match=r"hung up|disconnected"):
        await get(client(), target.url(), method=method)
    assert len(target.requests) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "internal"},
        {"host": "internal"},
        {"Transfer-Encoding": "chunked"},
        {"Content-Length": "0"},
        {"Connection": "close"},
        {"Upgrade": "websocket"},
        {"Proxy-Authorization": "x"},
        {"TE": "trailers"},
        {"X-A": "a\r\nX-B: b"},
        {"X-A": "a\nb"},
        {"X-A": "a\x00b"},
        {"X-A": "naïve \u2013 dash"},
        {"X A": "1"},
        {"X-A:": "1"},
        {"": "1"},
        {"X-Ä": "1"},
        {"X-A": "1", "x-a": "2"},
        {"X-A": "x" * 9000},
    ],
)
async def test_headers_that_would_smuggle_are_refused(
    target: TargetServer, headers: dict[str, str]
) -> None:
    with pytest.raises(TargetForbidden, match="header"):
        await get(client(), target.url(), headers=headers)
    assert target.requests == []


async def test_the_operator_says_which_headers_jobs_may_set(target: TargetServer) -> None:
    await get(client(allowed_headers=("X-One",)), target.url(), headers={"x-one": "1"})
    for caller in (client(allowed_headers=("X-One",)), client(blocked_headers=("x-two",))):
        with pytest.raises(TargetForbidden, match="operator"):
            await get(caller, target.url(), headers={"X-Two": "2"})


async def test_a_secret_is_filled_in_at_call_time_and_blanked_where_it_comes_back(
    target: TargetServer,
) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        credentials = request.headers["Authorization"]
        return web.Response(text=f"you said {credentials}", headers={"X-Echo": credentials})

    target.answer = echo
    caller = client(allowed_hosts=("127.0.0.1",), secrets={"TOKEN": "s3cret-value"})
    answer = await get(caller, target.url(), headers={"Authorization": "Bearer ${secret:TOKEN}"})
    assert target.requests[0][2]["Authorization"] == "Bearer s3cret-value"
    assert "s3cret" not in str(answer.to_json())
    assert answer.body == "you said Bearer ***"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"allowed_hosts": ()}, "JOBFLEET_ALLOWED_HOSTS only"),
        ({"secrets": {}}, "JOBFLEET_SECRET_TOKEN, which is not set"),
        ({"secrets": {"TOKEN": "two\r\nlines"}}, "line break"),
        ({"secret_hosts": {"TOKEN": ("a.example",)}}, "JOBFLEET_SECRET_TOKEN_HOSTS only"),
        ({"secret_hosts": {"TOKEN": ()}}, "JOBFLEET_SECRET_TOKEN_HOSTS only"),
        ({"allow_secrets_over_http": False}, "over https only"),
    ],
)
async def test_a_secret_goes_nowhere_but_where_the_operator_sends_it(
    target: TargetServer, options: dict[str, Any], reason: str
) -> None:
    given = {"allowed_hosts": ("127.0.0.1",), "secrets": {"TOKEN": "s3cret-value"}} | options
    with pytest.raises(TargetForbidden, match=reason) as refused:
        await get(client(**given), target.url(), headers={"X-Key": "${secret:TOKEN}"})
    assert "s3cret" not in str(refused.value)
    assert target.requests == []


async def test_a_secret_with_hosts_of_its_own_needs_no_allow_list(target: TargetServer) -> None:
    caller = client(secrets={"TOKEN": "s3cret-value"}, secret_hosts={"TOKEN": ("127.0.0.1",)})
    await get(caller, target.url(), headers={"X-Key": "${secret:TOKEN}"})
    assert target.requests[0][2]["X-Key"] == "s3cret-value"


async def test_a_host_cannot_test_guesses_of_another_host_s_secret(target: TargetServer) -> None:
    """Blanked, a guess in its answer would be known to be right."""

    async def guess(request: web.Request) -> web.StreamResponse:
        if request.path == "/away":
            here = f"http://localhost:{target.port}/there?mine=s3cret-value"
            raise web.HTTPFound(here)
        return web.Response(text=f"other-value, s3cret-value {request.query_string}")

    target.answer = guess
    caller = client(
        secrets={"TOKEN": "s3cret-value", "OTHER": "other-value"},
        secret_hosts={"TOKEN": ("127.0.0.1",), "OTHER": ("bank.example",)},
    )
    assert (await get(caller, target.url())).body == "other-value, *** "
    led = await get(caller, target.url("/away"), follow_redirects=True)
    assert led.body == "other-value, *** mine=***"
    assert str(led.url).endswith("mine=***")


async def test_proxies_and_netrc_of_the_environment_are_not_used(
    target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert (await get(client(), target.url())).status == 200
