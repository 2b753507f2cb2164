"""What a handler returned, as JSON that the trail can hold.

A value is copied item by item, and the copy stops at its limit. A library's encoder would go
through all of a huge value in one call, and no other thread of the worker could run meanwhile.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sized
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.encoded_value import MARK, labelled_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.json_check import MAX_NESTING, check_json
from jobfleet_protocol.actions.successors import MOST_RESULT_BYTES

MAX_RESULT_VALUES = 1_000_000
"""Values and names in one result or checkpoint; to read and show more takes seconds."""
_PLAIN = frozenset({type(None), bool, int, float, str})
_ARRAYS = frozenset({"numpy", "pandas", "polars", "torch", "pyarrow"})
_TEXTS = str | bytes | bytearray
_MANY = (list, tuple, set, frozenset, deque)
_PLAIN_CHARACTERS = 100_000
_PROBLEM_CHARACTERS = 1_000


class ResultTooLarge(TypeError):
    """A value has more bytes or more items than the trail can hold."""


def result_json(result: Any) -> Any:
    """Return a handler's result as JSON values.

    Raises:
        ResultTooLarge: it has more than 16 MiB or a million values.
        TypeError: it holds something that JSON cannot; the message says what to return instead.
    """
    try:
        plain = to_json(result)
        if plain is not None:
            size = len(check_json(plain, field="result", limit=None))
            if size > MOST_RESULT_BYTES:
                raise ResultTooLarge(_too_many(f"{MOST_RESULT_BYTES:,} bytes as JSON"))
    except ResultTooLarge as error:
        raise ResultTooLarge(f"the handler's result {error}") from None
    except (TypeError, InvalidRequest) as error:
        raise TypeError(
            f"the handler's result cannot be JSON: {error}. {_advice(result)}"
        ) from None
    return plain


def to_json(
    value: Any, *, most_bytes: int = MOST_RESULT_BYTES, most_values: int = MAX_RESULT_VALUES
) -> Any:
    """Return a value as JSON values: models, dataclasses, times and paths are converted.

    Raises:
        ResultTooLarge: it has more bytes or values; the rest of it is not looked at.
        TypeError: it holds something that JSON cannot.
    """
    copy = JsonCopy(most_bytes=most_bytes, most_values=most_values)
    try:
        return copy.of(value)
    except ResultTooLarge:
        raise
    except Exception as error:  # a result may run code of its own: iterators, serializers
        raise TypeError(cut_text(str(error), _PROBLEM_CHARACTERS)) from error


class JsonCopy:
    """Copies one value as JSON values, and stops at its limits.

    Attributes:
        seen: values and names that were looked at.
    """

    def __init__(self, *, most_bytes: int, most_values: int) -> None:
        self.seen = 0
        self._most_bytes = self._bytes_left = most_bytes
        self._most_values = most_values

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return the copy; ``depth`` counts the levels around it.

        Raises:
            ResultTooLarge: it has too many bytes or values.
            TypeError: JSON cannot hold it, or could only by a guess.
        """
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            self._count(value, depth)
            return labelled_text(value) if kind is str else value
        if isinstance(value, dict | list | tuple) and not isinstance(value, Enum):
            self._count(value, depth)
            if isinstance(value, dict):
                return {
                    name: self.of(item, depth + 1)
                    for name, item in zip(self._names(value), value.values(), strict=True)
                }
            return [self.of(item, depth + 1) for item in value]
        if isinstance(value, Iterator):
            self._count(value, depth)
            return [self.of(item, depth + 1) for item in value]
        self._look(value, depth, is_declared=False)
        plain = to_jsonable_python(value, inf_nan_mode="constants")
        if type(plain) in _PLAIN:
            return labelled_text(plain) if type(plain) is str else plain
        rest = JsonCopy(most_bytes=self._bytes_left, most_values=self._most_values - self.seen)
        return rest.of(plain, depth)

    def _names(self, value: dict[Any, Any]) -> list[str]:
        """Return the names of an object; two keys that are one in JSON would lose a value."""
        names = [key if type(key) is str else _name_of_key(key) for key in value]
        for name in names:
            self._count(name, 0)
            if name == MARK:
                raise TypeError(f"one of its keys is {MARK}, which is the form of encoded values")
        if len(set(names)) < len(names):
            ((name, times),) = Counter(names).most_common(1)
            raise TypeError(
                f"{times} of its keys are {name!r} in JSON, and one value would be lost"
            )
        return names

    def _count(self, value: Any, depth: int) -> None:
        """Count one value before anything copies it."""
        self.seen += 1
        if depth > MAX_NESTING:
            raise TypeError(f"it is circular, or nested deeper than {MAX_NESTING} levels")
        left = self._most_values - self.seen
        if left < 0 or (
            isinstance(value, Sized) and not isinstance(value, _TEXTS) and len(value) > left
        ):
            raise ResultTooLarge(_too_many(f"{self._most_values:,} values"))
        if isinstance(value, _TEXTS):
            self._bytes_left -= len(value)
        self._bytes_left -= 1
        if self._bytes_left < 0:
            raise ResultTooLarge(_too_many(f"{self._most_bytes:,} bytes as JSON"))

    def _look(self, value: Any, depth: int, *, is_declared: bool) -> None:
        """Count what a value holds, and refuse what JSON could hold only by a guess.

        Sets have no order and bytes no encoding; a model or dataclass that declares them says what
        it means. A decimal NaN would become a text, and a model's NaN ``null``.
        """
        self._count(value, depth)
        if isinstance(value, set | frozenset | bytes | bytearray) and not is_declared:
            raise TypeError(f"it holds a {type(value).__name__}")
        if isinstance(value, float) and not isfinite(value):
            raise TypeError(f"it holds {value}, which JSON cannot hold")
        if isinstance(value, Decimal) and not value.is_finite():
            raise TypeError(f"it holds the decimal {value}, which JSON cannot hold")
        parts: Iterable[Any] = ()
        if isinstance(value, dict):
            self._names(value)
            parts = value.values()
        elif isinstance(value, _MANY):
            parts = value
        elif isinstance(value, BaseModel) or is_dataclass(value):
            parts, is_declared = _fields_of(value), True
        for item in parts:
            self._look(item, depth + 1, is_declared=is_declared)


def _fields_of(value: Any) -> list[Any]:
    """Return what a model or dataclass holds, in slots and in fields beyond its own too."""
    own = getattr(value, "__dict__", {})
    held = [*own.values(), *(getattr(value, "__pydantic_extra__", None) or {}).values()]
    names = [each.name for each in fields(value)] if is_dataclass(value) else []
    return held + [getattr(value, name) for name in names if name not in own]


def _too_many(limit: str) -> str:
    return f"has more than {limit}. Store it elsewhere and keep its address"


def _name_of_key(key: Any) -> str:
    (name,) = to_jsonable_python({key: None}, inf_nan_mode="constants")
    return str(name)


def is_plain(value: Any, *, items: int = 1000) -> bool:
    """Return whether a value is small and made of JSON's own types.

    To convert such a value runs no code of the user's and takes no noticeable time.
    """
    waiting, seen, characters = [value], 0, _PLAIN_CHARACTERS
    while waiting:
        item = waiting.pop()
        seen += 1
        if type(item) is str:
            characters -= len(item)
        if seen > items or characters < 0:
            return False
        if type(item) is list:
            waiting += item[: items + 1]
        elif type(item) is dict:
            if len(item) > items or any(type(key) is not str for key in item):
                return False
            characters -= sum(map(len, item))
            waiting += item.values()
        elif type(item) not in _PLAIN:
            return False
    return True


def _advice(result: Any) -> str:
    if _holds_arrays(result):
        return "Convert it with .tolist(), .item() or .to_dict(), or return a file's address"
    return "Return plain JSON, a pydantic model or a dataclass"


def _holds_arrays(value: Any, depth: int = 3) -> bool:
    if type(value).__module__.partition(".")[0] in _ARRAYS:
        return True
    if depth and isinstance(value, dict):
        return any(_holds_arrays(item, depth - 1) for item in list(value.values())[:100])
    if depth and isinstance(value, list | tuple):
        return any(_holds_arrays(item, depth - 1) for item in value[:100])
    return False
