"""Waiting for a backend in trouble."""

from __future__ import annotations

from itertools import islice

import pytest
from structlog.testing import capture_logs

from jobfleet_contracts.errors import (
    BackendError,
    BackendForbidden,
    BackendUnavailable,
    DataMissing,
    LeaseConflict,
)
from jobfleet_protocol import retry
from jobfleet_protocol.retry import BACKEND_AWAITED, back_off, retry_forever


class _Backend:
    """Fails as it is told, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.tries = 0

    async def ask(self) -> str:
        self.tries += 1
        if self._errors:
            raise self._errors.pop(0)
        return "answer"


def test_pauses_double_to_five_seconds() -> None:
    assert list(islice(back_off(), 9)) == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


async def test_each_backend_error_is_told_and_followed_by_another_try() -> None:
    backend = _Backend(BackendUnavailable("away"), LeaseConflict("held"))
    errors: list[BackendError] = []
    assert await retry_forever(backend.ask, errors.append) == "answer"
    assert [str(error) for error in errors] == ["away", "held"]
    assert backend.tries == 3


@pytest.mark.parametrize("error", [DataMissing("gone"), ValueError("a bug")], ids=repr)
async def test_what_another_try_cannot_help_is_raised_at_once(error: Exception) -> None:
    backend = _Backend(error)
    with pytest.raises(type(error)):
        await retry_forever(backend.ask)
    assert backend.tries == 1


async def test_the_log_tells_what_is_waited_for_and_of_a_missing_permission_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "_told_at", {})
    monkeypatch.setattr(retry, "back_off", lambda: iter([0.0] * 100))
    with capture_logs() as lines:
        await retry_forever(_Backend(*[BackendUnavailable("away")] * 5).ask)
        assert lines == []
        await retry_forever(_Backend(BackendForbidden("lacks a permission")).ask)
        await retry_forever(_Backend(*[BackendUnavailable("away for long")] * 20).ask)
        await retry_forever(_Backend(*[BackendUnavailable("of another job")] * 20).ask)
    assert [(line["event"], line["log_level"], line["error"]) for line in lines] == [
        (BACKEND_AWAITED, "warning", "lacks a permission"),
        (BACKEND_AWAITED, "warning", "away for long"),
    ]
