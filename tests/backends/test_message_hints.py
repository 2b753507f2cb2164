"""What stands beside a message is checked, since other programs may write it too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobfleet_backends.sql.message_codec import decode_message as from_rows
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobDefaults, MalformedMessage

_ODD: tuple[Any, ...] = ("x", -1, 1.5, True, [], {}, 2**63, 10**30, "9" * 70, "ü", float("1e300"))
_HINTS = (
    *("sequence", "publishedAt", "dueAt", "deferrals", "openingHash", "incarnation"),
    *("lostWorkers", "defaults"),
)


@pytest.mark.parametrize("name", _HINTS)
def test_hints_that_no_publisher_writes_make_a_message_malformed(name: str) -> None:
    body = b'{"jobId":"%s","type":"echo"}' % new_id().encode()
    for value in _ODD:
        if name == "defaults" and not value:
            continue
        message = from_rows(body, json.dumps({name: value}))
        assert isinstance(message, MalformedMessage), value
        assert name in message.reason or name == "defaults"


_DEFAULTS = JobDefaults(3, 2.0, 300.0, 1800.0).to_json()


@pytest.mark.parametrize("name", _DEFAULTS)
def test_defaults_that_no_settings_allow_make_a_message_malformed(name: str) -> None:
    body = b'{"jobId":"%s","type":"echo"}' % new_id().encode()
    odd = (*_ODD, None, float("inf"), float("nan"), 1e308, 10**400, -0.5, 30 * 86_400 + 1)
    for value in odd:
        if value == 1.5 and name != "maxAttempts":
            continue
        stored = _DEFAULTS | {name: value}
        assert isinstance(from_rows(body, json.dumps({"defaults": stored})), MalformedMessage)
        with pytest.raises((TypeError, ValueError)):
            JobDefaults.from_json(stored)
    for allowed in (_DEFAULTS, _DEFAULTS | {"retryDelaySeconds": 0}):
        assert JobDefaults.from_json(allowed).to_json() == allowed


@pytest.mark.parametrize("hints", ["[]", "1", '"x"', "{", "null x", "\ud800", "[" * 100_000])
def test_hints_of_another_form_make_a_message_malformed(hints: str) -> None:
    body = b'{"jobId":"%s","type":"echo"}' % new_id().encode()
    assert isinstance(from_rows(body, hints), MalformedMessage)
