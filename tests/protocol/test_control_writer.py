"""Appending to the control log when answers are lost, requests fail and others write too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.errors import ActionRefused, InvalidRequest
from jobfleet_protocol.control.control_writer import ControlDraft, ControlWriter
from tests.protocol.faulty_port import FaultyPort
from tests.protocol.steered_clock import SteeredClock

QUEUE = ControlSubject.QUEUE


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    backend = await open_embedded(Settings(backend="embedded", data_dir=tmp_path))
    yield backend
    await backend.close()


def counted(newest: ControlEntry | None) -> ControlDraft:
    number = 0 if newest is None else newest.state["number"]
    return ControlDraft(kind=ControlKind.SET, by="test", state={"number": number + 1})


async def numbers(backend: Backend) -> list[int]:
    return [e.state["number"] for e in await backend.control_log.history(QUEUE, "mail")][::-1]


async def test_each_writer_decides_on_top_of_the_newest_entry(backend: Backend) -> None:
    writers = [ControlWriter(log=backend.control_log, clock=SteeredClock()) for _ in range(8)]
    await asyncio.gather(*(writer.append(QUEUE, "mail", counted) for writer in writers))
    assert await numbers(backend) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("fault", ["lose_reply", "lose_request"])
@pytest.mark.parametrize("method", ["insert", "newest", "read"])
async def test_an_append_with_a_lost_request_or_answer_stands_once(
    backend: Backend, fault: str, method: str
) -> None:
    log = FaultyPort(backend.control_log)
    getattr(log, fault)(method, times=2)
    if method == "read":
        log.lose_reply("insert")
    writer = ControlWriter(log=log, clock=SteeredClock())
    entry = await writer.append(QUEUE, "mail", counted)
    assert entry == await backend.control_log.newest(QUEUE, "mail")
    assert await numbers(backend) == [1]


@pytest.mark.parametrize("reason", ["x" * 1001, "no\0byte"])
async def test_a_reason_that_cannot_be_kept_is_refused_whatever_it_is_for(
    backend: Backend, reason: str
) -> None:
    def decide(newest: ControlEntry | None) -> ControlDraft:
        return ControlDraft(kind=ControlKind.SET, by="test", state={}, reason=reason)

    for subject in ControlSubject:
        writer = ControlWriter(log=backend.control_log, clock=SteeredClock())
        with pytest.raises(InvalidRequest, match="reason"):
            await writer.append(subject, "mail", decide)
        assert await backend.control_log.newest(subject, "mail") is None


async def test_a_decision_against_an_entry_writes_nothing(backend: Backend) -> None:
    writer = ControlWriter(log=backend.control_log, clock=SteeredClock())
    assert await writer.append(QUEUE, "mail", lambda _: None) is None
    assert await numbers(backend) == []


async def test_a_refusal_of_the_decision_reaches_the_caller(backend: Backend) -> None:
    def refuse(newest: ControlEntry | None) -> ControlDraft:
        raise ActionRefused("queue mail is not paused")

    writer = ControlWriter(log=backend.control_log, clock=SteeredClock())
    with pytest.raises(ActionRefused, match="not paused"):
        await writer.append(QUEUE, "mail", refuse)


@pytest.mark.parametrize("name", ["", "a/b", "a~b", "x" * 101, "ü", "a b", "a\n"])
async def test_a_name_that_cannot_be_a_key_is_refused(backend: Backend, name: str) -> None:
    writer = ControlWriter(log=backend.control_log, clock=SteeredClock())
    with pytest.raises(InvalidRequest, match="queue"):
        await writer.append(QUEUE, name, counted)


async def test_an_entry_that_no_row_can_hold_is_refused(backend: Backend) -> None:
    writer = ControlWriter(log=backend.control_log, clock=SteeredClock())
    draft = ControlDraft(kind=ControlKind.SET, by="test", state={"text": "x" * 40_000})
    with pytest.raises(InvalidRequest, match="32,000"):
        await writer.append(QUEUE, "mail", lambda _: draft)
