"""What jobfleet itself says of a thing is shown, though the thing's name looks like a secret's.

A colon right behind a name makes what follows its value, and masking hides it. So a message puts a
verb behind a name that a user chose, or puts the name last.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from jobfleet_contracts.codec import decode, refuse_repeated_names
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject, check_control_size
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.internal_job import check_clear
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.reason import behind_name
from jobfleet_protocol.control.limit_state import Limit
from jobfleet_protocol.control.pause_state import Pause
from jobfleet_worker.handlers.signature import read_signature
from jobfleet_worker.handlers.verdicts import Fail
from jobfleet_worker.run import start_terms

ROOT = Path(__file__).parents[2]
NAMES = ("api-token", "session", "password", "x_secret", "ci-key", "auth")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

_NAMED = re.compile(
    r"(?:limit|schedule|queue|type|secret|rate|worker|handler|by|key|field|parameter) '?$"
)


def entry(name: str, **fields: Any) -> ControlEntry:
    return ControlEntry(
        subject=ControlSubject.LIMIT,
        name=name,
        sequence=1,
        entry_id="e",
        kind=ControlKind.SET,
        by="ops",
        occurred_at=NOW,
        **fields,
    )


def _refusal(call: Any, *args: Any) -> str:
    with pytest.raises((InvalidRequest, Fail)) as refused:
        call(*args)
    return str(refused.value)


def _limit(name: str) -> str:
    unreadable = Limit.of(entry(name, state={"slots": "many"}))
    demand = start_terms._slot_demand(name, {name: unreadable})
    assert demand is not None
    return demand.closed


def _unset_limit(name: str) -> str:
    demand = start_terms._slot_demand(name, {})
    assert demand is not None
    return demand.closed


def _payload(name: str) -> str:
    model: type[BaseModel] = type("Order", (BaseModel,), {"__annotations__": {name: int}})

    def handler(payload: Any) -> None: ...

    handler.__annotations__["payload"] = model
    field = read_signature(handler, is_async=False)
    return _refusal(field.read_payload, {name: "x"})


def _pause(name: str) -> str:
    return Pause(
        subject=ControlSubject.TYPE,
        name=name,
        sequence=1,
        by=name,
        since=NOW,
        reason="a bad release",
    ).text


def _request(value: Any) -> JobRequest:
    return JobRequest.parse({"type": "a", "payload": value})


MESSAGES: Mapping[str, Callable[[str], str]] = {
    "a limit that cannot be read": _limit,
    "a limit that nobody has set": _unset_limit,
    "a field of a payload": _payload,
    "a pause": _pause,
    "who cancelled": lambda name: f"cancelled by {name}{behind_name('a wrong file')}",
    "an address with a password": lambda name: _refusal(_request, {name: "https://bob:x@h/"}),
    "an encoded value": lambda name: _refusal(check_clear, _request({name: {"$encoded": "a"}})),
    "a name that stands twice": lambda name: _refusal(
        refuse_repeated_names, f'{{"{name}": 1, "{name}": 2}}'
    ),
    "a large integer": lambda name: _refusal(decode, f'{{"{name}": {2**70}}}'),
    "a large state": lambda name: _refusal(
        check_control_size, entry(name, state={"a": "x" * 40_000})
    ),
}


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_a_name_is_shown(name: str, message: str) -> None:
    text = MESSAGES[message](name)
    assert name in text
    assert masked_text(text) == text


def _colons_behind_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for place, value in enumerate(node.values[:-1]):
            behind, before = node.values[place + 1], node.values[place - 1] if place else None
            if not isinstance(value, ast.FormattedValue) or not isinstance(behind, ast.Constant):
                continue
            if not re.match(r"'?: ", str(behind.value)):
                continue
            lead = str(before.value) if isinstance(before, ast.Constant) else ""
            if _NAMED.search(lead):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


def test_no_message_has_a_colon_right_behind_a_name_that_a_user_chose() -> None:
    found = [
        each
        for folder in ("shared", "services")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for each in _colons_behind_names(path)
    ]
    assert found == []
