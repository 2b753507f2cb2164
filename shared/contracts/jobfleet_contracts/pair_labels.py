"""Which values of an object its label names, where none of them is called a value.

``{"name": "password", "data": "X"}``: the label is the name of a credential, and one or two other
values stand beside it. An object with more of them is a record, which a name says little about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from jobfleet_contracts.secret_names import is_label, is_pair_label

_MOST_NAMED = 2
_SCALAR = re.compile(
    r"(?:null|none|true|false|-?[0-9]{1,3}|-?[0-9]{1,12}\.[0-9]{1,12}|string|integer|number|boolean|"
    r"header|query|path|cookie|)",
    re.IGNORECASE,
)
_LEAST_NUMBER = 1000
"""Codes have four digits and more; smaller numbers are counts and places."""


def named_beside_label(members: Sequence[tuple[str, object]]) -> list[int]:
    """Return the places of the members whose value the label of their object names.

    Texts, numbers and lists of such count as values, but for those that say too little for a
    credential: constants, small numbers, ``"string"``.
    """
    labels = {
        place
        for place, (name, value) in enumerate(members)
        if is_pair_label(name) and is_label(value)
    }
    others = [
        place
        for place, (_, value) in enumerate(members)
        if place not in labels and _is_flat(value) and not _is_plain(value)
    ]
    return others if labels and len(others) <= _MOST_NAMED else []


def _is_flat(value: object) -> bool:
    if isinstance(value, list | tuple):
        return not any(isinstance(each, Mapping | list | tuple) for each in value)
    return isinstance(value, str | int | float)


def _is_plain(value: object) -> bool:
    match value:
        case str():
            return _SCALAR.fullmatch(value.strip()) is not None
        case int() if not isinstance(value, bool):
            return abs(value) < _LEAST_NUMBER
        case list() | tuple():
            return all(map(_is_plain, value))
        case _:
            return True
