"""Odd characters in any text of a job: stored as they are, and nobody waits for them."""

from __future__ import annotations

import asyncio
import unicodedata
from contextlib import suppress
from dataclasses import replace

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import encodable
from jobfleet_contracts.errors import IllegalTransition
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lookup_keys import keys_of
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change, draft
from tests.conformance.jobs import after, all_open_rows, open_row, queued, started

ODD = {
    "NUL": "\0",
    "controls that are not refused": "\t",
    "C1 controls": "".join(map(chr, range(0x80, 0xA0))),
    "next line": "\x85",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "no-break and other blanks": "\xa0\u1680\u2003\u202f\u205f\u3000",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff",
    "bidirectional": "\u061c\u200e\u200f\u202a\u202e\u2066\u2069",
    "noncharacters": "\ufdd0\ufffe\uffff\U0001ffff\U0010ffff",
    "replacement": "\ufffd\ufffc",
    "private use": "\ue000\uf8ff\U000f0000",
    "tags": "\U000e0001\U000e0041\U000e007f",
    "combining": "e" + "\u0301" * 20,
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "quotes": "'\"`\\/",
    "markup": "<&>%41\\u0041{}[]",
    "separators of multipart bodies": "--batch\\r\\n--",
    "letters of many scripts": "\xe9\u0416\u4e2d\u0e01\u05d0\U00010348",
    "all formats": "".join(
        chr(each) for each in range(0x20000) if unicodedata.category(chr(each)) == "Cf"
    )[:60],
}
STORED_SECONDS = 20


def a_life_of(text: str) -> list[Event]:
    """A short history with the text in each field that holds text of somebody.

    In data it is as somebody wrote it, elsewhere as events are drafted.
    """
    first, kept = queued(), encodable(text)
    facts = replace(first.facts, job_name=f"a{kept}b", lock_key=f"key{kept}")
    keys = keys_of(JobRequest(type="a", payload={"customer": f"c{text}"}), ["customer"])
    data = {f"name{text}": [text, {"x": text}], "indexed": keys}
    first = replace(first, facts=facts, message=f"m{kept}", data=data)
    second = started(first)
    third = after(second, "Step 1", worker_id="w1", message=kept, data={"said": text})
    error = {"type": f"E{text}", "message": text, "place": f"p{text}"}
    fourth = after(third, "AttemptFailed", worker_id="w1", message=kept, data={"error": error})
    return [first, second, third, fourth]


def test_a_draft_holds_no_character_that_a_backend_refuses() -> None:
    first = queued()
    for status in Status:
        change = Change(kind=status, step=1, worker_id="w", message="a\0b\ud800")
        with suppress(IllegalTransition):
            event = draft(first, first.facts, change, occurred_at=first.occurred_at)
            assert event.message == "a\ufffdb?"


@pytest.mark.parametrize("kind", ODD)
async def test_a_trail_holds_them_as_they_are(backend: Backend, kind: str) -> None:
    life = a_life_of(ODD[kind])
    async with asyncio.timeout(STORED_SECONDS):
        await backend.trail.insert(life[:1])
        await backend.trail.insert(life[1:3])
        await backend.trail.insert(life[3:])
    assert await backend.trail.history(life[0].job_id) == life


async def test_the_index_holds_them_and_no_other_job_waits(backend: Backend) -> None:
    lives = [a_life_of(text) for text in ODD.values()]
    for life in lives:
        await backend.index.open(open_row(life[0]))
        await backend.trail.insert(life)
        backend.index.record([*life, *[queued()]])
    async with asyncio.timeout(STORED_SECONDS):
        await backend.index.flush()
    found = {e.event_id: e for e in (await backend.reader.events(EventQuery(limit=1000))).items}
    for life in lives:
        for event in life:
            assert found[event.event_id].message == event.message
            assert found[event.event_id].facts.job_name == event.facts.job_name
    rows = await all_open_rows(backend)
    assert {row.facts.lock_key for row in rows} >= {life[0].facts.lock_key for life in lives}
