"""Long texts are masked in threads, a little at a time."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

from jobfleet_protocol.control.limit_state import Limit
from jobfleet_protocol.reading.limit_record import LimitRecord, SlotHolder
from jobfleet_protocol.reading.masking_turns import AT_ONCE, in_turn, in_turns, weight_of


def _thread(_: str) -> str:
    return threading.current_thread().name


async def test_a_little_is_masked_at_once_and_much_in_a_thread() -> None:
    here = threading.current_thread().name
    assert await in_turn(_thread, "a", "a" * 100) == here
    assert (await in_turn(_thread, "a", "a" * 10_000)).startswith("masking_")
    assert (await in_turn(_thread, "a", ["a" * AT_ONCE])).startswith("masking-long_")
    assert await in_turns(_thread, [], len) == []


async def test_items_keep_their_order() -> None:
    texts = [str(n) * 4_000 for n in range(1, 9)]
    assert await in_turns(str.upper, texts, lambda text: text) == texts


async def test_long_items_do_not_keep_others_waiting() -> None:
    go_on = threading.Event()
    long = [
        asyncio.create_task(in_turn(lambda _: go_on.wait(120), each, "a" * (AT_ONCE + 1)))
        for each in range(20)
    ]
    try:
        async with asyncio.timeout(120):
            assert await in_turn(str.upper, "a", "a" * 1_000) == "A"
    finally:
        go_on.set()
        assert all(await asyncio.gather(*long))


async def test_a_list_lets_others_have_turns_between_its_parts() -> None:
    order = list[str]()

    def note(name: str) -> None:
        order.append(name)

    lists = [[f"{name}{n}" for n in range(20)] for name in "ab"]
    await asyncio.gather(*(in_turns(note, each, lambda _: "x" * (AT_ONCE - 100)) for each in lists))
    assert order.index("b0") < order.index("a19")
    assert order.index("a0") < order.index("b19")


def test_the_weight_of_a_value_counts_names_and_texts_up_to_a_limit() -> None:
    assert weight_of({"abc": ["de", 1, None]}) == 3 + 2 + 6 * 10
    assert weight_of(["x"] * 1_000_000) == 10 * 1_000_001, "looks at no text"


def test_the_weight_of_a_record_is_that_of_the_texts_in_its_fields() -> None:
    now = datetime.now(UTC)
    limit = Limit(
        name="ab", slots=5, rate=None, removed=False, by="ops", since=now, reason="c" * 100
    )
    record = LimitRecord(limit, 1, [SlotHolder(1, "id", "name")])
    texts = ["ab", "ops", "c" * 100, "id", "name"]
    assert weight_of(record) == sum(map(len, texts)) + 10 * (
        len(texts) + len([[], limit, record, 1])
    )


async def test_an_item_is_weighed_itself_unless_its_texts_are_named() -> None:
    assert (await in_turn(lambda _: _thread(""), {"a": "b" * 10_000})).startswith("masking_")
    assert (await in_turns(_thread, ["a" * AT_ONCE]))[0].startswith("masking-long_")
    assert await in_turn(_thread, "a" * AT_ONCE, "") == threading.current_thread().name


async def test_the_loop_weighs_no_more_of_a_list_than_it_may_mask_itself() -> None:
    here, weighed_here = threading.current_thread(), list[int]()

    def text_of(item: int) -> str:
        if threading.current_thread() is here:
            weighed_here.append(item)
        return "x" * 100

    assert await in_turns(str, range(1_000), text_of) == [*map(str, range(1_000))]
    assert len(weighed_here) < 10
