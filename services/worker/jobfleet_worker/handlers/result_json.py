"""What a handler returned, as JSON that the trail can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import is_dataclass
from decimal import Decimal
from math import isfinite
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.json_check import check_json

_PLAIN = frozenset({type(None), bool, int, float, str})
_ARRAYS = frozenset({"numpy", "pandas", "polars", "torch", "pyarrow"})


def result_json(result: Any) -> Any:
    """Return a handler's result as JSON values.

    Raises:
        TypeError: it holds something that JSON cannot; the message says what to return instead.
    """
    try:
        plain = to_json(result)
        if plain is not None:
            check_json(plain, field="result", limit=None)
    except (TypeError, InvalidRequest) as error:
        raise TypeError(
            f"the handler's result cannot be JSON: {error}. {_advice(result)}"
        ) from None
    return plain


def to_json(value: Any) -> Any:
    """Return a value as JSON values: models, dataclasses, times and paths are converted.

    Raises:
        TypeError: it holds something that JSON cannot.
    """
    if type(value) in _PLAIN and type(value) is not float:  # whose NaN has no JSON
        return value
    try:
        plain = to_jsonable_python(value, inf_nan_mode="constants")
    except Exception as error:  # a result may run code of its own: iterators, serializers
        raise TypeError(str(error)) from error
    _refuse_guesses(value)
    return plain


def is_plain(value: Any, *, items: int = 1000) -> bool:
    """Return whether a value is small and made of JSON's own types.

    To convert such a value runs no code of the user's and takes no noticeable time.
    """
    waiting, seen = [value], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen > items:
            return False
        if type(item) is list:
            waiting += item[: items + 1]
        elif type(item) is dict:
            if len(item) > items or any(type(key) is not str for key in item):
                return False
            waiting += item.values()
        elif type(item) not in _PLAIN:
            return False
    return True


def _refuse_guesses(value: Any, *, is_declared: bool = False) -> None:
    """Refuse what JSON could hold only by a guess, at any depth.

    Sets have no order and bytes no encoding; a model or dataclass that declares them says what it
    means. Two keys that are one in JSON lose a value, a decimal NaN would become a text, and a
    model's NaN ``null``.
    """
    if isinstance(value, set | frozenset | bytes | bytearray) and not is_declared:
        raise TypeError(f"it holds a {type(value).__name__}")
    if isinstance(value, float) and not isfinite(value):
        raise TypeError(f"it holds {value}, which JSON cannot")
    if isinstance(value, Decimal) and not value.is_finite():
        raise TypeError(f"it holds the decimal {value}, which JSON cannot")
    if isinstance(value, dict):
        _refuse_equal_keys(value)
        parts: Iterable[Any] = value.values()
    elif isinstance(value, list | tuple):
        parts = value
    elif isinstance(value, BaseModel) or is_dataclass(value):
        parts, is_declared = getattr(value, "__dict__", {}).values(), True
    else:
        return
    for item in parts:
        _refuse_guesses(item, is_declared=is_declared)


def _refuse_equal_keys(value: dict[Any, Any]) -> None:
    if all(type(key) is str for key in value):
        return
    names = Counter(
        name for key in value for name in to_jsonable_python({key: None}, inf_nan_mode="constants")
    )
    ((name, times),) = names.most_common(1)
    if times > 1:
        raise TypeError(f"{times} of its keys are {name!r} in JSON, and one value would be lost")


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
