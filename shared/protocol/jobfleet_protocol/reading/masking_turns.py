"""Masks what is shown in threads of their own, a little at a time, so that others have a turn.

Masking a megabyte of hostile text takes seconds. On the event loop it would stop every request;
in the loop's own threads eight such requests would keep lists waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
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
    loop, found = asyncio.get_running_loop(), list[R]()
    parts = _parts(items, text_of)
    if len(parts) == 1 and parts[0][1] <= _ON_THE_LOOP:
        return [work(item) for item in items]
    for part, weight in parts:
        threads = _LONG if weight > AT_ONCE else _SHORT
        found += await loop.run_in_executor(threads, _all, work, part)
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


def _all(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [work(item) for item in items]


def _parts(items: Sequence[T], text_of: Callable[[T], object]) -> list[tuple[list[T], int]]:
    """Return the items in parts of at most ``AT_ONCE``, with the weight of each part."""
    parts = list[tuple[list[T], int]]()
    for item in items:
        weight = weight_of(text_of(item))
        if parts and parts[-1][1] + weight <= AT_ONCE:
            parts[-1] = [*parts[-1][0], item], parts[-1][1] + weight
        else:
            parts.append(([item], weight))
    return parts


def weight_of(value: object) -> int:
    """Return about how many characters a value has; beyond ``AT_ONCE`` it counts no further."""
    weight, left = 0, list[Any]([value])
    while left and weight <= AT_ONCE:
        item = left.pop()
        weight += _OF_A_VALUE
        match item:
            case str():
                weight += len(item)
            case Mapping():
                left += (*item.keys(), *item.values())
            case list() | tuple():
                left += item
            case _ if is_dataclass(item):
                values = (getattr(item, field.name) for field in fields(item))
                left += (value for value in values if _may_hold_text(value))
    return weight


def _may_hold_text(value: object) -> bool:
    return isinstance(value, str | Mapping | list | tuple) or is_dataclass(value)
