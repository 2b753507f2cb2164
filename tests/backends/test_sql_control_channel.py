"""A change of a subject that only a newer release knows ends no listener."""

from __future__ import annotations

from collections.abc import AsyncIterator

from typing_extensions import override

from jobfleet_backends.sql.control_channel import SqlControlChannel
from jobfleet_contracts.control import ControlSubject


class _Table(SqlControlChannel):
    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    @override
    async def _send(self, kind: str, about: str) -> None:
        self.sent.append((kind, about))

    @override
    async def _follow(self, kind: str) -> AsyncIterator[str]:
        for each, about in self.sent:
            if each == kind:
                yield about


async def test_a_change_of_an_unknown_subject_is_left_out() -> None:
    table = _Table()
    await table._send("change", "newer/a")
    await table._send("change", "")
    await table.announce_change(ControlSubject.QUEUE, "a/b")
    assert [each async for each in table.changes()] == [(ControlSubject.QUEUE, "a/b")]
