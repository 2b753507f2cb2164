"""What a handler returned, as JSON that the trail can hold."""

from __future__ import annotations

from typing import Any

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


def _refuse_guesses(value: Any) -> None:
    """Sets have no order and bytes no encoding; a model that declares them says what it means."""
    if isinstance(value, set | frozenset | bytes | bytearray):
        raise TypeError(f"it holds a {type(value).__name__}")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        _refuse_guesses(item)


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
