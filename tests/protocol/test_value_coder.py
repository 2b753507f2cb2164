"""Values are encoded and decoded in one place, which never quotes what it was given."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.credentials import masked, masked_text
from jobfleet_contracts.cut_text import cut_text, ends_of
from jobfleet_contracts.errors import CodecError, KeyUnavailable, SettingsError
from jobfleet_contracts.event import MAX_MESSAGE_CHARACTERS, Event, JobFacts, JobState
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.log_line import MAX_LINE_BYTES, LogLine, clear_line, encoded_line
from jobfleet_contracts.state import State
from jobfleet_contracts.value_coder import NO_CODER, NOT_ENCODED, ValueCoder
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.trail.transitions import cut_message
from jobfleet_publisher import JobResult
from tests.worker.key_ring import KeyRing

WORD = "Ada-Lovelace-of-London"
LABEL = "encrypted (key k1)"
NOW = datetime(2026, 11, 27, tzinfo=UTC)


class Broken(KeyRing):
    """Quotes what it was given in its errors."""

    def encode(self, data: bytes) -> tuple[bytes, str]:
        raise RuntimeError(f"cannot encode {data!r}")

    def decode(self, data: bytes, key_id: str) -> bytes:
        raise RuntimeError(f"cannot decode {WORD}")


class BadKey(KeyRing):
    """Names a key that would end the envelope early."""

    def encode(self, data: bytes) -> tuple[bytes, str]:
        return data, 'k1"}'


@pytest.fixture
def coder() -> ValueCoder:
    return ValueCoder(KeyRing("k1"))


def request_of(**fields: Any) -> JobRequest:
    return JobRequest.parse({"type": "order.pay", "payload": {"name": WORD}, **fields})


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None]}, "text", 0, False, [], {}, WORD * 10_000])
def test_a_value_comes_back_as_it_was(coder: ValueCoder, value: Any) -> None:
    encoded = coder.value(value)
    assert encoded.keys() == {"$encoded"}
    assert coder.clear_value(encoded) == value
    assert masked({"result": encoded}) == {"result": LABEL}


@pytest.mark.parametrize("sign", ["a", "é", "\N{PENGUIN}", '"', "\n"])
def test_a_message_of_any_length_fits_into_an_event(coder: ValueCoder, sign: str) -> None:
    for length in (1, 900, MAX_MESSAGE_CHARACTERS, 100_000):
        message = f"99/100 {coder.message(sign * length)}"
        assert cut_message(message) == message
        clear = coder.clear_text(message).removeprefix("99/100 ")
        assert clear
        assert (sign * length).startswith(clear)


def test_a_label_stands_for_it_in_whatever_is_shown_or_cut(coder: ValueCoder) -> None:
    text = f"before {coder.text(WORD * 1000)} after"
    labelled = f"before {LABEL} after"
    assert masked_text(text) == labelled
    assert masked({"error": {"message": text}}) == {"error": {"message": labelled}}
    assert cut_text(text, 500) == labelled
    assert ends_of(text, 500) == (labelled, "")


@pytest.mark.parametrize("codec", [Broken("k1"), BadKey("k1")], ids=["raises", "bad key id"])
def test_a_codec_that_fails_stores_nothing_and_is_never_quoted(codec: KeyRing) -> None:
    failing = ValueCoder(codec)
    calls: list[Callable[[], Any]] = [
        lambda: failing.value(WORD),
        lambda: failing.request(request_of()),
        lambda: failing.details({"response": WORD}),
    ]
    for call in calls:
        with pytest.raises(CodecError) as caught:
            call()
        assert WORD not in "".join(traceback.format_exception(caught.value))
    assert failing.message(f"for {WORD}") == NOT_ENCODED
    assert failing.details({"error": {"type": "E", "message": WORD, "traceback": WORD}}) == {
        "error": {"type": "E", "message": NOT_ENCODED, "traceback": NOT_ENCODED}
    }
    line = LogLine(at=NOW, attempt=1, level="info", message=WORD).encode()
    assert WORD.encode() not in encoded_line(line, failing)


def test_what_cannot_be_decoded_says_why_and_quotes_nothing(coder: ValueCoder) -> None:
    encoded = coder.value(WORD)
    with pytest.raises(KeyUnavailable, match=r"key k1.*JOBFLEET_PAYLOAD_CODEC"):
        NO_CODER.clear_value(encoded)
    with pytest.raises(KeyUnavailable, match="no key k1"):
        ValueCoder(KeyRing("k2")).clear_value(encoded)
    with pytest.raises(CodecError, match="RuntimeError for a value of key k1") as caught:
        ValueCoder(Broken("k1")).clear_value(encoded)
    assert WORD not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(CodecError, match="not base64"):
        coder.clear_value({"$encoded": {"key": "k1", "data": "?"}})
    for spoiled in ({}, {"key": 1, "data": 2}, {"key": "k1"}, {"key": "k1", "data": "AAAA"}):
        with pytest.raises(CodecError):
            coder.clear_value({"$encoded": spoiled})


def test_a_request_hides_its_values_and_keeps_what_the_fleet_goes_by(coder: ValueCoder) -> None:
    clear = request_of(
        description=WORD,
        inputFilePath=WORD,
        processingParameters={"who": WORD},
        context={"headers": {"x": WORD}, "traceparent": "00-1"},
        lockKey="account-7",
        priority=8,
        then=[
            {"type": "next", "payload": {"w": WORD}, "then": [{"type": "last", "payload": WORD}]}
        ],
    )
    stored = coder.request(clear)
    assert WORD not in repr(stored.to_json())
    assert (stored.lock_key, stored.priority, stored.context) == (
        "account-7",
        8,
        {"traceparent": "00-1"},
    )
    assert coder.request(stored) is stored
    opened = coder.clear_request(stored)
    left_out = {"then"}
    assert opened.model_dump(exclude=left_out) == clear.model_dump(exclude=left_out)
    assert JobRequest.model_validate(stored.to_json()).to_json() == stored.to_json()


def test_a_request_without_values_stays_as_it_is(coder: ValueCoder) -> None:
    for request in (JobRequest(type="tick"), JobRequest(type="tick", payload=None, description="")):
        assert coder.request(request) is request


def test_a_group_keeps_what_counts_its_members_and_hides_its_successors(coder: ValueCoder) -> None:
    stored = coder.request(group_request({"then": [{"type": "next", "payload": WORD}]}))
    assert stored.payload["onFailure"] == "continue"
    assert WORD not in repr(stored.to_json())


def test_the_digest_tells_requests_apart_and_outlives_a_key() -> None:
    before, after = ValueCoder(KeyRing("k1")), ValueCoder(KeyRing("k1", "k2"))
    then = [{"type": "next", "payload": WORD}]
    asked = request_of(then=then, context={"headers": {"x": "1"}})
    digest = before.request(asked).digest()
    again = request_of(then=then, context={"headers": {"x": "2"}, "requestId": "r"})
    assert after.request(again).digest() == digest
    assert digest != asked.digest()
    others = [
        request_of(),
        request_of(then=[{"type": "next", "payload": "Grace"}]),
        request_of(then=then, description="more"),
        request_of(then=then, context={"route": "/pay"}),
        request_of(then=then, priority=9),
    ]
    assert digest not in {after.request(other).digest() for other in others}


def test_context_that_differs_with_each_request_changes_no_digest(coder: ValueCoder) -> None:
    one = JobRequest.parse({"type": "tick", "context": {"headers": {"x": "1"}}})
    other = JobRequest.parse({"type": "tick"})
    assert coder.request(one).digest() == coder.request(other).digest()


def test_index_values_are_hmacs_that_differ_by_key_and_tell_nothing(coder: ValueCoder) -> None:
    found = coder.keys_of(request_of(), ["name"])
    assert found.keys() == {"payload.name"}
    assert WORD.casefold() not in found["payload.name"]
    assert found == ValueCoder(KeyRing("k2")).keys_of(request_of(), ["name"])
    assert coder.index_value("payload.a", "1") != coder.index_value("payload.b", "1")


@pytest.mark.parametrize("size", [10, 15_000, 200_000])
def test_a_log_line_stays_within_its_bound(coder: ValueCoder, size: int) -> None:
    line = LogLine(
        at=NOW,
        attempt=2,
        level="error",
        message="\N{PENGUIN}" * size,
        logger="shop",
        fields={"who": WORD * (size // 10)},
        exception="\N{PENGUIN}" * size,
    )
    stored = encoded_line(line.encode(), coder)
    assert len(stored) <= MAX_LINE_BYTES
    assert stored.count(b"\n") == 1
    assert WORD.encode() not in stored
    read = clear_line(LogLine.decode(stored), coder)
    assert (read.at, read.attempt, read.level) == (NOW, 2, "error")
    assert read.message.startswith("\N{PENGUIN}" * min(size, 1_000))
    assert clear_line(LogLine.decode(stored), NO_CODER).message == LABEL


def test_an_edited_event_is_shown_with_labels_and_breaks_no_page(coder: ValueCoder) -> None:
    spoiled = {"$encoded": {"key": "k1", "data": "AAAA"}}
    facts = JobFacts("j", "n", "t", "default", 5, None, NOW)
    event = Event(
        facts=facts,
        after=JobState(state=State.COMPLETED, sequence=1),
        event_id="e",
        status="Completed",
        message='{"$encoded":{"key":"k1","data":"AAAA"}}',
        occurred_at=NOW,
        data={"result": spoiled, "request": {"payload": {"$encoded": {"digest": "d"}}}},
    )
    shown = coder.opened(event).masked()
    assert (shown.message, shown.data["result"]) == (LABEL, LABEL)
    assert shown.data["request"] == {"payload": "encrypted (key ?)"}


def test_a_result_that_cannot_be_decoded_is_never_taken_for_the_value(coder: ValueCoder) -> None:
    result = JobResult(job_id="j", state=State.COMPLETED, result=coder.value(WORD))
    with pytest.raises(KeyUnavailable, match=r"encrypted \(key k1\)"):
        result.unwrap()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("codecs", "write module:object"),
        ("codecs:", "write module:object"),
        (":codec", "write module:object"),
        ("no_such_module_here:codec", "cannot be imported"),
        ("broken_codec:codec", "cannot be imported"),
        ("some_codec:missing", "cannot be imported"),
        ("some_codec:nothing", "is not a codec"),
        ("some_codec:Ring", "is not a codec"),
        ("some_codec:short", "digest_key"),
    ],
)
async def test_a_codec_that_cannot_be_used_stops_the_start_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "broken_codec.py").write_text(f"raise ValueError({WORD!r})")
    (tmp_path / "some_codec.py").write_text(
        "from tests.worker.key_ring import KeyRing as Ring\n"
        "nothing, short = object(), Ring('k1')\nshort.digest_key = b'short'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = Settings(data_dir=tmp_path / "fleet", payload_codec=name, _env_file=None)
    with pytest.raises(SettingsError, match="JOBFLEET_PAYLOAD_CODEC") as caught:
        await open_backend(settings)
    for module in ("broken_codec", "some_codec"):
        sys.modules.pop(module, None)
    assert message in str(caught.value)
    assert WORD not in str(caught.value)
    assert not (tmp_path / "fleet").exists()


def test_the_setting_names_the_codec_that_encodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBFLEET_PAYLOAD_CODEC", "some:codec")
    assert Settings(data_dir=tmp_path, _env_file=None).payload_codec == "some:codec"
