"""No edge takes an encoded value: it would be decoded for the readers of the job it came with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from jobfleet_contracts.encoded_value import MARK
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.internal_job import check_clear, check_submitted
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.reason import check_reason
from jobfleet_contracts.schedule import Schedule
from jobfleet_contracts.value_coder import ValueCoder
from jobfleet_protocol.actions.callbacks import CallbackBody
from jobfleet_protocol.actions.groups import group_request
from tests.worker.key_ring import KeyRing

COPIED = ValueCoder(KeyRing("k1")).value("Ada")
AS_TEXT = orjson.dumps(COPIED).decode()

FORMS: dict[str, Any] = {
    "value": COPIED,
    "value with digest": {MARK: COPIED[MARK] | {"digest": "0" * 64}},
    "value beside another": COPIED | {"other": 1},
    "value of no form": {MARK: None},
    "value in a list": [1, [COPIED]],
    "value in an object": {"a": {"b": COPIED}},
    "text": AS_TEXT,
    "part of a text": f"see {AS_TEXT} there",
    "text in an object": {"a": [AS_TEXT]},
    "text as a name": {AS_TEXT: 1},
}
TEXTS = {name: form for name, form in FORMS.items() if isinstance(form, str)}
OBJECTS = {name: form for name, form in FORMS.items() if isinstance(form, dict)}
PLACES: dict[str, dict[str, Any]] = {
    "payload": FORMS,
    "processingParameters": OBJECTS,
    "context": OBJECTS,
    "jobName": TEXTS,
    "description": TEXTS,
    "inputFilePath": TEXTS,
    "lockKey": TEXTS,
}


def _submitted(fields: dict[str, Any]) -> None:
    check_submitted(JobRequest.parse({"type": "order.pay", **fields}))


def _step(fields: dict[str, Any]) -> None:
    _submitted({"then": [{"type": "order.ship", **fields}]})


def _grouped(fields: dict[str, Any]) -> None:
    check_clear(group_request(fields))


def _scheduled(fields: dict[str, Any]) -> None:
    Schedule.parse("nightly", {"type": "order.pay", "everySeconds": 60, **fields})


EDGES: dict[str, tuple[Callable[[dict[str, Any]], None], tuple[str, ...]]] = {
    "job": (_submitted, tuple(PLACES)),
    "step": (_step, ("payload", "jobName")),
    "group": (_grouped, ("jobName", "description", "context")),
    "schedule": (_scheduled, tuple(PLACES)),
}


@pytest.mark.parametrize("edge", EDGES)
def test_no_field_of_a_request_takes_an_encoded_value(edge: str) -> None:
    check, places = EDGES[edge]
    for place in places:
        for name, form in PLACES[place].items():
            with pytest.raises(InvalidRequest) as refused:
                check({place: form})
            assert "Ada" not in str(refused.value), (place, name)
            assert place in (refused.value.field or ""), (place, name)


def test_no_field_of_a_request_is_forgotten_here() -> None:
    free = {
        field.alias or name
        for name, field in JobRequest.model_fields.items()
        if field.annotation in (str, str | None) or "dict" in str(field.annotation).lower()
    }
    narrow = {"jobId", "type", "queue", "createdAt", "callbackUrl", "onLost"}
    assert free - narrow - {"results", "follows", "member"} <= PLACES.keys()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_reason_holds_an_encoded_value(text: str) -> None:
    with pytest.raises(InvalidRequest, match="encoded"):
        check_reason(text)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_result_of_a_third_party_holds_an_encoded_value(form: Any) -> None:
    for field in ("payload", "error") + (("message",) if isinstance(form, str) else ()):
        body = {"jobId": "x", "status": "completed", field: form}
        with pytest.raises(InvalidRequest, match="encoded"):
            CallbackBody.parse(orjson.dumps(body))


def test_what_a_process_with_a_codec_encodes_is_taken() -> None:
    request = JobRequest.parse({"type": "order.pay", "payload": {"name": "Ada"}})
    check_submitted(request)
    assert MARK in ValueCoder(KeyRing("k1")).request(request).payload
