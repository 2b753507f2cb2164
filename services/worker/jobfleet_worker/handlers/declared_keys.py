"""Keys that a handler's decorator makes of a payload: ``lock_key`` and ``rate_key``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from jobfleet_contracts.encoded_value import encoded_in
from jobfleet_contracts.job import MAX_LOCK_KEY
from jobfleet_worker.handlers.described_error import text_of
from jobfleet_worker.handlers.error_text import type_of

KeyOf = Callable[[Any], str]
"""Makes a key of a payload, as the handler gets it."""


class KeyRefused(ValueError):
    """A function of the user's returned no key, or raised.

    Attributes:
        name: the option's name.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def read_key(name: str, key_of: KeyOf | str | None, payload: Any) -> str | None:
    """Return the key of a payload, ``None`` if none is declared.

    Raises:
        KeyRefused: it is not a text of 1 to 200 characters on one line, or the function raised.
    """
    if key_of is None or isinstance(key_of, str):
        return key_of
    try:
        key: Any = key_of(payload)
    except Exception as error:
        raise KeyRefused(name, f"raised {type_of(error)}: {text_of(error)}") from error
    problem = problem_with_text(key)
    if problem is not None:
        raise KeyRefused(name, f"returned {problem}")
    if encoded_in(str(key), name) is not None:
        raise KeyRefused(name, "returned a text with $encoded, the form of encoded values")
    return str(key)


def problem_with_text(key: Any) -> str | None:
    """Return what a value is that cannot be a key, and what is wanted."""
    wanted = f"a key is text of 1 to {MAX_LOCK_KEY} characters on one line"
    if not isinstance(key, str):
        return f"a {type(key).__name__}; {wanted}"
    if not 1 <= len(key) <= MAX_LOCK_KEY or not key.isprintable():
        return f"{key[:50]!r}; {wanted}"
    return None


def problem_with_key(name: str, key_of: Any) -> str | None:
    """Return why this cannot make a key of a payload."""
    if key_of is None:
        return None
    wanted = f"{name} is {key_of!r}; it can be a function of the payload that returns a text"
    if not callable(key_of) or inspect.iscoroutinefunction(key_of):
        return wanted
    try:
        inspect.signature(key_of).bind(None)
    except TypeError:
        return f"{wanted}. This one cannot be called with one value"
    except ValueError:  # some built-in functions tell nothing of themselves
        return None
    return None
