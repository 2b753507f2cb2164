"""What repeated attempts leave in the trail is bounded, whatever handlers and targets say."""

import threading
from typing import Any

import pytest
from aiohttp import web

from jobfleet_contracts.codec import encode
from jobfleet_contracts.credentials import masked
from jobfleet_worker.outbound.http_call import MAX_KEPT_BYTES
from jobfleet_worker.run.kept_details import (
    MAX_REPEATED_BYTES,
    MIN_REPEATED_BYTES,
    SHORTENED,
    kept_bytes,
    shortened,
)
from tests.worker.builtin.conftest import Workshop, target, workshop
from tests.worker.outbound.target_server import TargetServer

__all__ = ["target", "workshop"]

HUGE: dict[str, Any] = {
    "a long text": {"error": {"message": "x" * 10**6}},
    "a text that JSON escapes": {"response": {"body": "\0" * 300_000, "statusCode": 429}},
    "characters of four bytes": {"body": "\N{GRINNING FACE}" * 100_000},
    "many texts": {"lines": ["line " * 20] * 10_000},
    "many values": {"numbers": list(range(100_000)), "error": {"message": "m"}},
    "many names": {f"name {number}": number for number in range(10_000)},
    "many names and a huge error": {
        "a": dict.fromkeys(map(str, range(9999))),
        "error": ["x"] * 9999,
    },
    "deep and long": {"a": {"b": [{"c": "x" * 10**5}] * 50}},
}


@pytest.mark.parametrize("sequence", [1, 3, 100, 10**6])
@pytest.mark.parametrize("name", HUGE)
def test_data_of_any_shape_fit_after_they_were_shortened(name: str, sequence: int) -> None:
    cut = shortened(HUGE[name], sequence=sequence)
    assert len(encode(cut)) <= kept_bytes(sequence) <= MAX_REPEATED_BYTES
    assert cut[SHORTENED] is True


def test_what_attempts_keep_in_total_grows_hardly_with_their_number() -> None:
    assert kept_bytes(3) == MAX_REPEATED_BYTES
    assert kept_bytes(10**6) == MIN_REPEATED_BYTES
    of_a_hundred_attempts = sum(kept_bytes(sequence) for sequence in range(2, 302, 3))
    assert of_a_hundred_attempts < 650 * 1024
    ten_times_as_many = sum(kept_bytes(sequence) for sequence in range(2, 3002, 3))
    assert ten_times_as_many < 2 * 1024 * 1024


def test_what_is_small_stays_as_it_is_and_what_is_short_is_kept_of_what_is_large() -> None:
    assert shortened({"a": 1}, sequence=1) == {"a": 1}
    text = "begin " + "x" * 10**5 + " end"
    data = {"error": {"type": "E", "traceback": text}, "response": {"statusCode": 429}}
    cut = shortened(data, sequence=1)
    assert cut["response"] == {"statusCode": 429}
    assert cut["error"]["traceback"].startswith("begin ")
    assert cut["error"]["traceback"].endswith(" end")


async def nuls(_: web.Request) -> web.StreamResponse:
    return web.Response(status=429, body=b"\0" * MAX_KEPT_BYTES, headers={"Retry-After": "0"})


async def test_a_target_cannot_fill_the_storage_by_refusing_each_attempt(
    workshop: Workshop, target: TargetServer
) -> None:
    workshop.start()
    target.answer = nuls
    attempts = 12
    history = await workshop.run("http.request", {"targetUrl": target.url()}, maxAttempts=attempts)
    failed = [event for event in history if event.status == "AttemptFailed"]
    assert len(failed) == attempts - 1
    assert max(len(encode(event.to_json())) for event in failed) < 2 * MAX_REPEATED_BYTES
    assert failed[0].data["response"]["statusCode"] == 429
    assert len(encode(history[-1].to_json())) < 2 * MAX_KEPT_BYTES


async def test_a_long_answer_is_masked_in_a_thread(
    workshop: Workshop, target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def watched(data: Any) -> Any:
        threads.append(threading.get_ident())
        return masked(data)

    monkeypatch.setattr("jobfleet_worker.run.kept_details.masked", watched)
    workshop.start()
    target.answer = nuls
    await workshop.run("http.request", {"targetUrl": target.url()}, maxAttempts=2)
    assert threads
    assert threading.get_ident() not in threads
