"""DeadLetterStore: malformed messages, whole, with the reason."""

from __future__ import annotations

from datetime import timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.index import DeadLetter
from jobfleet_contracts.message import MalformedMessage
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import BEGIN
from tests.polling import eventually

pytestmark = WITH_FAKES


async def _add(backend: Backend, number: int) -> None:
    letter = MalformedMessage(b"%d" % number, f"reason {number}", f"message {number}")
    await backend.dead_letters.add(letter, BEGIN + timedelta(seconds=number))


async def test_a_letter_keeps_body_reason_and_id(backend: Backend, other: Backend) -> None:
    letter = MalformedMessage('{"täst": '.encode() + b"\xff\x00", "not JSON: <b>", "m-1")
    await backend.dead_letters.add(letter, BEGIN)
    (found,) = (await other.dead_letters.letters()).items
    assert found.body == '{"täst": \ufffd\x00'
    assert (found.reason, found.message_id, found.received_at) == ("not JSON: <b>", "m-1", BEGIN)
    assert found.size == len(letter.body)


async def test_a_letter_without_a_message_id_is_kept(backend: Backend) -> None:
    await backend.dead_letters.add(MalformedMessage(b"", "empty"), BEGIN)
    (found,) = (await backend.dead_letters.letters()).items
    assert (found.body, found.size, found.message_id) == ("", 0, None)


async def test_a_long_body_is_cut_for_the_list_and_its_size_kept(backend: Backend) -> None:
    await backend.dead_letters.add(MalformedMessage(b"x" * 100_000, "too long"), BEGIN)
    (found,) = (await backend.dead_letters.letters()).items
    assert (len(found.body), found.size) == (32_000, 100_000)


async def test_letters_are_paged_and_none_is_lost(backend: Backend) -> None:
    for number in range(5):
        await _add(backend, number)
    found: list[DeadLetter] = []
    cursor = None
    while True:
        page = await backend.dead_letters.letters(cursor=cursor, limit=2)
        assert len(page.items) <= 2
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    assert sorted(letter.reason for letter in found) == [f"reason {n}" for n in range(5)]


async def test_the_newest_letter_comes_first(backend: Backend) -> None:
    await _add(backend, 1)
    (first,) = (await backend.dead_letters.letters()).items

    async def a_newer_one_is_on_top() -> bool:
        await _add(backend, 2)
        return (await backend.dead_letters.letters()).items[0].letter_id != first.letter_id

    await eventually("a newer letter stands first", a_newer_one_is_on_top)


async def test_a_removed_letter_is_gone_and_removing_is_quiet(backend: Backend) -> None:
    await _add(backend, 1)
    (letter,) = (await backend.dead_letters.letters()).items
    for _ in range(2):
        await backend.dead_letters.remove(letter.letter_id)
    assert list((await backend.dead_letters.letters()).items) == []
