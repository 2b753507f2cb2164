"""The form of an encoded value, wherever it is stored, and what is shown of it.

A value is ``{"$encoded": {"key": "k1", "data": base64}}``. Inside a text it is that object as
compact JSON. In place of a request's payload it holds all values of the request, with ``digest``
beside them. :mod:`jobfleet_contracts.value_coder` makes and reads it; nothing else looks into it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MARK = "$encoded"
KEY_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
IN_TEXT = re.compile(
    r'\{"\$encoded":\{"key":"([A-Za-z0-9_.:-]{1,100})","data":"([A-Za-z0-9+/=]*)"\}\}'
)
_IN_TEXT_SIGN = '{"$encoded":'
_UNKNOWN = "?"
_LABEL = re.compile(r"encrypted \(key [A-Za-z0-9_.:?-]{1,100}\)")


def is_encoded(value: Any) -> bool:
    """Whether a JSON value is an encoded one, of whatever key."""
    return (
        isinstance(value, Mapping) and value.keys() == {MARK} and isinstance(value[MARK], Mapping)
    )


def holds_encoded(text: str) -> bool:
    """Whether a text holds an encoded one."""
    return _IN_TEXT_SIGN in text and IN_TEXT.search(text) is not None


def encoded_in(value: Any, path: str) -> str | None:
    """Return the path of the first encoded value in a JSON value; ``None`` if it holds none.

    Who may send one has it decoded beside the jobs that may be seen: values that a stranger copied
    from the storage would become clear text. A name counts, whatever stands beside it.
    """
    match value:
        case str():
            return path if _IN_TEXT_SIGN in value else None
        case Mapping() if MARK in value:
            return path
        case Mapping():
            found = (
                encoded_in(name, path) or encoded_in(item, f"{path}.{name}")
                for name, item in value.items()
            )
        case list() | tuple():
            found = (encoded_in(item, f"{path}.{place}") for place, item in enumerate(value))
        case _:
            return None
    return next((each for each in found if each is not None), None)


def digest_in(value: Any) -> str | None:
    """Return the digest beside a request's encoded values; ``None`` for every other value."""
    digest = value[MARK].get("digest") if is_encoded(value) else None
    return digest if isinstance(digest, str) else None


def key_in(value: Mapping[str, Any]) -> str:
    """Return the id of the key of an encoded value; ``?`` if none can be read."""
    key = value[MARK].get("key")
    return key if isinstance(key, str) and KEY_ID.fullmatch(key) else _UNKNOWN


def label(key: str) -> str:
    """Return what stands for a value that cannot be, or must not be, decoded."""
    return f"encrypted (key {key})"


def is_label(value: Any) -> bool:
    """Whether a value that is shown is such a label."""
    return isinstance(value, str) and _LABEL.fullmatch(value) is not None


def labelled_text(text: str) -> str:
    """Return a text with the label in place of each encoded part."""
    if _IN_TEXT_SIGN not in text:
        return text
    return IN_TEXT.sub(lambda found: label(found[1]), text)


def labelled_value(value: Any) -> Any:
    """Return a JSON value with the label in place of each encoded one, at any depth."""
    match value:
        case str():
            return labelled_text(value)
        case Mapping() if MARK in value:
            return label(key_in(value) if is_encoded(value) else _UNKNOWN)
        case Mapping():
            return {name: labelled_value(item) for name, item in value.items()}
        case list() | tuple():
            return [labelled_value(item) for item in value]
        case _:
            return value
