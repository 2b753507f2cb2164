"""Credentials that a submitter wrote into a job: needed to run it, never shown.

One rule for everything that is shown: a value is hidden if its name says that it is a credential,
or if its text has the form of one. The documented place for a secret is ``${secret:NAME}`` in a
header: such a reference is shown, and the secret itself never reaches the job.
"""

from __future__ import annotations

import html
import re
import string
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import quote, unquote

import orjson

from jobfleet_contracts.codec import names_once
from jobfleet_contracts.credential_forms import (
    is_reference,
    may_hold_form,
    user_info_in,
    without_addresses,
    without_forms,
)
from jobfleet_contracts.encoded_value import is_encoded, key_in, label, labelled_text
from jobfleet_contracts.kept_parts import HIDDEN, shown_by_both
from jobfleet_contracts.look_alikes import is_disguised, plain, with_own_signs
from jobfleet_contracts.named_values import without_named_values
from jobfleet_contracts.pair_labels import named_beside_label
from jobfleet_contracts.plain_words import is_object_key
from jobfleet_contracts.secret_names import (
    SCHEMES,
    is_assignment,
    is_count_name,
    is_label,
    is_secret_name,
    may_hold_secret_name,
    role_of,
)

__all__ = ["HIDDEN", "holds_credential", "is_secret_name", "masked", "masked_text", "user_info_in"]

_MAX_TEXT_DEPTH = 40
"""Levels of the JSON texts within a value, texts within texts counted together. A deeper one is
hidden whole: taking it apart would use up the stack, and no answer could show the job."""
_ESCAPING = 3
"""Escapes within escapes that are undone to look into a text: an address in one in one."""
_PRINTED = string.punctuation.replace("%", "")
_RUN = re.compile(r"[^\s\"'<>]+")
_ENTITY = re.compile(
    r"&(?:[A-Za-z]{2,24}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});|\\[nrt]|"
    r"\\{1,15}(?:x|u00)(?!22|27|5[cC]|60)(?:[2-7][0-9A-Fa-f]|1[bB]|0[07]|9[0-9A-Fa-f]|[aA][0dD])|"
    r"\\(?:x|u00)(?:22|27|5[cC]|60)|"
    r"\\{1,15}u(?:2[012]|30|[fF][eEfF])[0-9A-Fa-f]{2}"
)
_BLANKS = {"\\n": "\n", "\\r": "\r", "\\t": "\t"}
_SCHEME = re.compile(SCHEMES, re.IGNORECASE)
_OPTION_NAME = re.compile(r"-{1,2}([A-Za-z][\w./-]{0,100})")
_JOINING_COLON = re.compile(r"(?<=\w):(?=\w)")


def masked(value: Any) -> Any:
    """Return a JSON value as it may be shown, at any depth; the value itself is left as it is."""
    return _masked(value, _MAX_TEXT_DEPTH)


def masked_text(text: str) -> str:
    """Return a text as it may be shown: user info, parameters, headers and tokens are hidden."""
    return _masked_text(text, _MAX_TEXT_DEPTH)


def _masked(value: Any, levels: int) -> Any:
    """Mask a value; JSON texts in it are masked down to ``levels`` levels."""
    match value:
        case str():
            return _masked_text(value, levels)
        case Mapping() if is_encoded(value):
            return label(key_in(value))
        case Mapping():
            return _masked_object(value, levels)
        case list() | tuple():
            return _masked_list(value, levels)
        case _:
            return value


def _masked_text(text: str, levels: int) -> str:
    text = labelled_text(text)
    lower = plain(text).lower()
    if len(lower) < len(text):
        lower += text.lower()  # a link of a terminal, which the plain form leaves out, may hold one
    named = "%" in lower or may_hold_secret_name(lower)
    if not named and not may_hold_form(lower) and ("&" not in lower or ";" not in lower):
        return text
    if text[:1] in ("{", "[") and (inner := _masked_json(text, levels)) is not None:
        return inner
    shown = _plainly_masked(text, named=named)
    if "\\" in text or ("&" in text and ";" in text):
        shown = _masked_behind_escapes(text, shown)
    return _RUN.sub(_escaped_run, shown) if "%" in shown else shown


def _plainly_masked(text: str, *, named: bool = True) -> str:
    shown = _found_masked(text, named=named)
    if not is_disguised(shown):
        return shown
    clear = plain(shown)
    found = _found_masked(clear, named=named)
    return shown if found == clear else with_own_signs(shown, found)


def _found_masked(text: str, *, named: bool) -> str:
    shown = without_addresses(text)
    return without_forms(without_named_values(shown) if named else shown)


def _masked_behind_escapes(text: str, shown: str) -> str:
    """Hide what stands behind escapes of HTML and JSON too; without any, return ``shown``.

    The text is searched as it is and without its escapes: an escaped quote is none in the first.
    """
    clear = _unescaped(text, _without_entities)
    if clear == text:
        return shown
    left = _unescaped(shown, _without_entities)
    both = shown_by_both(clear, _plainly_masked(left), _plainly_masked(clear))
    return shown if both == left else both


def _escaped_run(found: re.Match[str]) -> str:
    run = found[0]
    clear = _unescaped(run, unquote) if "%" in run else run
    shown = run if clear == run else _plainly_masked(clear)
    return run if clear in (run, shown) else quote(shown, safe=_PRINTED)


def _unescaped(text: str, undo: Callable[[str], str]) -> str:
    for _ in range(_ESCAPING):
        clear = undo(text)
        if clear == text:
            break
        text = clear
    return text


def _without_entities(text: str) -> str:
    return _ENTITY.sub(_meant, text)


def _meant(found: re.Match[str]) -> str:
    escape = found[0]
    if escape[0] == "&":
        return html.unescape(escape)
    return _BLANKS[escape] if escape in _BLANKS else chr(int(escape.lstrip("\\xu"), 16))


def holds_credential(text: str) -> bool:
    """Whether a part of a short text would be hidden.

    Colons without a blank, as in the lock key ``session:42``, join its parts: they name no value.
    """
    text = labelled_text(text)
    apart = without_forms(without_addresses(text))
    joined = _JOINING_COLON.sub(".", plain(apart))
    return apart != text or masked_text(joined) != joined


def _masked_object(value: Mapping[str, Any], levels: int) -> dict[str, Any]:
    named = {str(name): item for name, item in value.items()}
    labels, values = _pair_in(named)
    shown = {}
    for name, item in named.items():
        if name in labels:
            shown[_shown_name(name, levels)] = _masked(item, levels)
        elif name == "Key" and name not in values and is_object_key(item, named):
            shown[name] = _masked(item, levels)
        elif name in values or is_secret_name(name):
            shown[_shown_name(name, levels)] = _hidden(item, name)
        else:
            shown[_shown_name(name, levels)] = _masked(item, levels)
    return shown


def _pair_in(value: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the fields that name a value and those that hold it, if it is a credential.

    A text under ``key`` is a credential itself unless a value stands beside it.
    """
    labels, values, secret = [], [], False
    for name, item in value.items():
        role = role_of(name)
        if role is None:
            continue
        if role.label and isinstance(item, str) and (role.secret or is_label(item)):
            labels.append(name)
            secret = secret or is_label(item)
        elif role.value:
            values.append(name)
    if secret and not values:
        members = list(value.items())
        values = [members[place][0] for place in named_beside_label(members)]
        labels = [name for name in labels if is_label(value[name])]
    return (labels if values else [], values if secret else [])


def _shown_name(name: str, levels: int) -> str:
    return name if name.isalnum() else _masked_text(name, levels)


def _masked_list(value: list[Any] | tuple[Any, ...], levels: int) -> list[Any]:
    match value:
        case [str() as name, item] if is_label(name) and not is_assignment(name):
            return [_masked_text(name, levels), _hidden(item)]
        case [str() as name, str() as scheme, *rest] if is_label(name) and _is_scheme(scheme):
            return [_masked_text(name, levels), scheme, *(_hidden(item) for item in rest)]
        case [first, *_]:
            return [
                _masked(first, levels),
                *(
                    _hidden(item) if _is_secret_option(before) else _masked(item, levels)
                    for before, item in pairwise(value)
                ),
            ]
        case _:
            return []


def _is_scheme(text: str) -> bool:
    return _SCHEME.fullmatch(text) is not None


def _is_secret_option(argument: Any) -> bool:
    """Whether an argument of a command is the option whose value, a credential, comes next."""
    option = _OPTION_NAME.fullmatch(argument) if isinstance(argument, str) else None
    return option is not None and is_secret_name(option[1])


def _hidden(value: Any, name: str = "") -> Any:
    """Hide the texts, numbers and objects in a value that its name calls a credential.

    An object is hidden whole: its members may be named by credentials, as in ``{"apiKeys": {…}}``.
    """
    match value:
        case None | bool():
            return value
        case str():
            return value if not value or is_reference(value) else HIDDEN
        case Mapping():
            return HIDDEN if value else {}
        case list() | tuple():
            return [_hidden(item) for item in value]
        case _:
            return value if is_count_name(name) else HIDDEN


def _masked_json(text: str, levels: int) -> str | None:
    """Return a text that is JSON as it may be shown; ``None`` if it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    left = levels - _depth(value, levels)
    if left < 0:
        return HIDDEN
    shown = _masked(value, left)
    # A name that stands twice: the parser dropped the first value, and the text still holds it.
    is_whole = shown == value and names_once(text)
    return text if is_whole else orjson.dumps(shown).decode()


def _depth(value: Any, most: int) -> int:
    """Return how many levels of objects and lists a value has, at most one more than ``most``."""
    layer, depth = [value], 0
    while layer and depth <= most:
        layer = [
            item
            for each in layer
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, dict | list)
        ]
        depth += 1
    return depth
