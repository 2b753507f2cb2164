"""Sets in one order, so that the same value is the same JSON in every process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import fields, is_dataclass
from enum import Enum
from operator import is_
from types import GeneratorType
from typing import Any, Self

from jobfleet_contracts.json_check import MAX_NESTING

_PLAIN = frozenset({type(None), bool, int, float, str})


class _Set(set[Any]):
    """A set that iterates in the order it was given."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


class _FrozenSet(frozenset[Any]):
    """A frozen set that iterates in the order it was given."""

    _items: list[Any]

    def __new__(cls, items: list[Any]) -> Self:
        made = super().__new__(cls, items)
        made._items = items
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


def with_ordered_sets(value: Any) -> Any:
    """Return the value with each set in it, at any depth, in the order of its items' JSON.

    Python orders the texts of a set anew in each process. Sets stay sets, and models stay models:
    serializers of their own get what they are declared for. What holds a set is copied.

    Raises:
        ValueError: an item of a set has no form in JSON.
    """
    return _ordered(value, 0)


def _ordered(value: Any, depth: int) -> Any:
    # Deeper than the limit, or circular: it is refused when it becomes JSON.
    if type(value) in _PLAIN or depth > MAX_NESTING:
        return value
    if isinstance(value, Enum):
        held = _ordered(value.value, depth + 1)
        return value if held is value.value else held
    if isinstance(value, set | frozenset):
        items = sorted((_ordered(item, depth + 1) for item in value), key=_json)
        return _Set(items) if isinstance(value, set) else _FrozenSet(items)
    if isinstance(value, dict):
        values = _each(value.values(), depth)
        return value if values is None else dict(zip(value, values, strict=True))
    if isinstance(value, list | tuple | deque):
        return _sequence(value, depth)
    if isinstance(value, GeneratorType):
        return (_ordered(item, depth + 1) for item in value)
    if not isinstance(value, type) and (
        is_dataclass(value) or hasattr(type(value), "__pydantic_serializer__")
    ):
        return _model(value, depth)
    return value


def _each(values: Iterable[Any], depth: int) -> list[Any] | None:
    """Return the values with sets in order; ``None`` if nothing is to change."""
    before = list(values)
    after = [
        item if type(item) in _PLAIN else _ordered(item, depth + 1)  # most are: spare the call
        for item in before
    ]
    return None if all(map(is_, after, before)) else after


def _sequence(value: Any, depth: int) -> Any:
    items = _each(value, depth)
    if items is None:
        return value
    if isinstance(value, tuple):
        return value._make(items) if hasattr(value, "_make") else tuple(items)
    return deque(items) if isinstance(value, deque) else items


def _model(value: Any, depth: int) -> Any:
    held = dict(getattr(value, "__dict__", {}))
    if is_dataclass(value):
        held |= {each.name: getattr(value, each.name) for each in fields(value)}
    extra = getattr(value, "__pydantic_extra__", None)
    values = _each(held.values(), depth)
    extras = _each(extra.values(), depth) if extra else None
    if values is None and extras is None:
        return value
    copied = copy(value)
    for name, item in zip(held, values or held.values(), strict=True):
        if item is not held[name]:
            _put(copied, name, item)
    if extra and extras is not None:
        copied.__pydantic_extra__.update(zip(extra, extras, strict=True))
    return copied


def _put(copied: Any, name: str, item: Any) -> None:
    own = getattr(copied, "__dict__", {})
    if name in own:
        own[name] = item
    else:
        object.__setattr__(copied, name, item)  # a slot, of a frozen dataclass too


def _json(item: Any) -> bytes:
    from pydantic_core import to_json

    # Only the order comes of it: a model may have its own form for bytes and other types.
    return to_json(item, by_alias=True, bytes_mode="base64", fallback=repr)
