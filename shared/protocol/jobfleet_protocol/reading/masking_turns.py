"""Masks what is shown in threads of their own, a little at a time, so that others have a turn.

Masking a megabyte of hostile text takes seconds. On the event loop it would stop every request;
in the loop's own threads eight such requests would keep lists waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobRow

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 16_000
"""Characters that one turn masks, some 50 ms of hostile text. A longer item has a turn alone."""
_ON_THE_LOOP = 500
_OF_A_VALUE = 10
_SHORT = ThreadPoolExecutor(2, thread_name_prefix="masking")
_LONG = ThreadPoolExecutor(2, thread_name_prefix="masking-long")
"""Items beyond ``AT_ONCE`` wait for each other only."""


def itself(item: object) -> object:
    """Return the item: masking may look at each text in it."""
    return item


async def in_turns(
    work: Callable[[T], R], items: Sequence[T], text_of: Callable[[T], object] = itself
) -> list[R]:
    """Return ``work(item)`` of each item, in order.

    Args:
        work: masks; runs in a thread, on the loop if there is little to mask.
        text_of: what it masks of an item: a JSON value, or a dataclass with such values. Name it
            for items with many texts that are not masked: their weight makes them wait.
    """
    if _are_light(items, text_of):
        return [work(item) for item in items]
    loop, found = asyncio.get_running_loop(), list[R]()
    while len(found) < len(items):
        turn = partial(_turn, work, items, text_of, len(found))
        done = await loop.run_in_executor(_SHORT, turn)
        found += done or [await loop.run_in_executor(_LONG, work, items[len(found)])]
    return found


async def in_turn(work: Callable[[T], R], item: T, text: object = None) -> R:
    """Return ``work(item)``, which masks this text or JSON value; if none is given, the item."""
    return (await in_turns(work, [item], itself if text is None else lambda _: text))[0]


def texts_of(event: Event) -> object:
    """Return what masking looks at in an event."""
    return [event.message, event.data]


def message_of(row: JobRow) -> str:
    """Return what masking looks at in the row of a job."""
    return row.message


def _are_light(items: Sequence[T], text_of: Callable[[T], object]) -> bool:
    """Whether the loop may mask all items; it stops weighing them as soon as it may not."""
    weight = 0
    for item in items:
        weight += weight_of(text_of(item), _ON_THE_LOOP)
        if weight > _ON_THE_LOOP:
            return False
    return True


def _turn(
    work: Callable[[T], R], items: Sequence[T], text_of: Callable[[T], object], start: int
) -> list[R]:
    """Mask from this item on up to ``AT_ONCE``; nothing if the first one is longer."""
    found, weight = list[R](), 0
    for item in islice(items, start, None):
        weight += weight_of(text_of(item))
        if weight > AT_ONCE:
            break
        found.append(work(item))
    return found


def weight_of(value: object, most: int = AT_ONCE) -> int:
    """Return about how many characters a value has; beyond ``most`` it counts no further."""
    weight, left = _OF_A_VALUE, list[Any]([value])
    while left and weight <= most:
        match left.pop():
            case str() as text:
                weight += len(text)
            case dict() as item:
                weight += 2 * _OF_A_VALUE * len(item)
                if weight <= most:
                    left += (*item.keys(), *item.values())
            case list() | tuple() as item:
                weight += _OF_A_VALUE * len(item)
                if weight <= most:
                    left += item
            case None | int() | float():
                pass
            case item if is_dataclass(item):
                values = [getattr(item, field.name) for field in fields(item)]
                held = [value for value in values if _may_hold_text(value)]
                weight += _OF_A_VALUE * len(held)
                left += held
    return weight


def _may_hold_text(value: object) -> bool:
    return isinstance(value, str | dict | list | tuple) or is_dataclass(value)
