"""The text and the traceback of an error, bounded before anything copies them.

Texts of errors run users' code, and may have hundreds of megabytes. ``traceback`` of the standard
library copies each of them several times, in calls that hold up every other thread.
"""

from __future__ import annotations

import reprlib
import traceback
from collections.abc import Iterator
from itertools import islice
from typing import Any

from jobfleet_contracts.codec import encodable
from jobfleet_contracts.cut_text import LOOKED_AT, beginning_of
from jobfleet_worker.handlers.result_json import is_plain

TYPE_CHARACTERS = 200
_CAUSES = 10
_FRAMES = 100
_NOTES = 10
_NOTE_CHARACTERS = 2_000
_TEXT_CHARACTERS = 16_000
_IN_A_GROUP = 15
_GROUPS_WITHIN_GROUPS = 5
_OWN_TEXTS = (BaseException.__str__, KeyError.__str__)
_name_of = type.__dict__["__name__"].__get__
"""Reads a class's name past its metaclass, whose own ``__name__`` would run users' code."""


def type_of(error: BaseException) -> str:
    """Return the name of its type, cut where a class is named by a program."""
    return encodable(_name_of(type(error))[:TYPE_CHARACTERS])


def error_text(error: BaseException) -> str:
    """Return what the error says, however long; the name of its type if it says nothing.

    Large arguments of Python's own texts are shortened: their ``repr`` would copy all of them.
    """
    try:
        return _own_text(error) or type_of(error)
    except Exception as broken:  # noqa: BLE001 - a user's own __str__
        return f"{type_of(error)}, whose text raised {type_of(broken)}"


def _own_text(error: BaseException) -> str:
    if type(error).__str__ is BaseExceptionGroup.__str__ and isinstance(error, BaseExceptionGroup):
        count = len(error.exceptions)
        return f"{error.message[:LOOKED_AT]} ({count} sub-exception{'s' if count > 1 else ''})"
    if type(error).__str__ not in _OWN_TEXTS or is_plain([*error.args]):
        return str(error)
    if len(error.args) > 1:
        return brief(error.args)
    if type(error.args[0]) is str and type(error).__str__ is not KeyError.__str__:
        return error.args[0]
    return brief(error.args[0])


def brief(value: Any) -> str:
    """Return a ``repr`` of which no more is made than a text can show."""
    return _BRIEF.repr(value)


class _Brief(reprlib.Repr):
    """Cuts large builtin values before it looks at them; a user's own ``repr`` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 100
        self.maxstring = self.maxother = 4_000

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        return super().repr_dict(dict(islice(x.items(), self.maxdict + 1)), level)

    def repr_set(self, x: set[Any], level: int) -> str:
        return super().repr_set(set(islice(x, self.maxset + 1)), level)

    def repr_frozenset(self, x: frozenset[Any], level: int) -> str:
        return super().repr_frozenset(frozenset(islice(x, self.maxfrozenset + 1)), level)

    def repr_bytes(self, x: bytes, _level: int) -> str:
        return repr(x) if len(x) <= self.maxother else f"{x[: self.maxother]!r}..."

    def repr_bytearray(self, x: bytearray, level: int) -> str:
        return self.repr_bytes(bytes(x[: self.maxother + 1]), level)


_BRIEF = _Brief()


def traceback_text(error: BaseException) -> str:
    """Return the traceback of an error, its causes and its group; at most a million characters."""
    text, left = "", LOOKED_AT
    for piece in _chain(error, 0):
        text += piece[:left]
        left = LOOKED_AT - len(text)
        if left <= 0:
            break
    return text


def _chain(error: BaseException, depth: int) -> Iterator[str]:
    """Yield the causes before what they have caused, as Python does."""
    links: list[tuple[BaseException, str]] = [(error, "")]
    seen = {id(error)}
    while (before := _before(links[-1][0])) is not None and id(before[0]) not in seen:
        if len(links) == _CAUSES:
            yield "… [earlier errors cut]\n\n"
            break
        seen.add(id(before[0]))
        links.append(before)
    for each, leads_to in reversed(links):
        yield from _one(each, depth)
        yield leads_to


def _before(error: BaseException) -> tuple[BaseException, str] | None:
    if error.__cause__ is not None:
        sentence = "The above exception was the direct cause of the following exception:"
        return error.__cause__, f"\n{sentence}\n\n"
    if error.__context__ is not None and not error.__suppress_context__:
        sentence = "During handling of the above exception, another exception occurred:"
        return error.__context__, f"\n{sentence}\n\n"
    return None


def _one(error: BaseException, depth: int) -> Iterator[str]:
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from _frames(error)
    text = error_text(error)
    shown = text if len(text) <= _TEXT_CHARACTERS else beginning_of(text, _TEXT_CHARACTERS)
    cut = f" … [{len(text) - len(shown):,} characters cut]" if len(shown) < len(text) else ""
    name = _full_name(error)
    yield f"{name}: {shown}{cut}\n" if text != type_of(error) else f"{name}\n"
    yield from _notes(error)
    if isinstance(error, BaseExceptionGroup):
        yield from _group(error, depth)


def _frames(error: BaseException) -> Iterator[str]:
    """Yield the frames; if there are very many, only the first and the last ones."""
    frames = sum(1 for _ in islice(traceback.walk_tb(error.__traceback__), 2 * _FRAMES + 1))
    if frames <= 2 * _FRAMES:
        yield from traceback.format_tb(error.__traceback__)
        return
    yield from traceback.format_tb(error.__traceback__, limit=_FRAMES)
    yield "  … [frames cut]\n"
    yield from traceback.format_tb(error.__traceback__, limit=-_FRAMES)


def _notes(error: BaseException) -> Iterator[str]:
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list | tuple):
        for note in notes[:_NOTES]:
            yield f"{beginning_of(f'{note}', _NOTE_CHARACTERS)}\n"


def _group(group: BaseExceptionGroup[BaseException], depth: int) -> Iterator[str]:
    if depth == _GROUPS_WITHIN_GROUPS:
        yield "… [groups within it cut]\n"
        return
    for number, each in enumerate(group.exceptions[:_IN_A_GROUP], 1):
        yield f"{'  ' * depth}+---------------- {number} ----------------\n"
        for piece in _chain(each, depth + 1):
            yield "".join(f"{'  ' * (depth + 1)}{line}" for line in piece.splitlines(True))
    if len(group.exceptions) > _IN_A_GROUP:
        yield f"and {len(group.exceptions) - _IN_A_GROUP} more\n"


def _full_name(error: BaseException) -> str:
    kind = type(error)
    module = kind.__module__
    name = kind.__qualname__
    is_bare = module in ("builtins", "__main__") or not isinstance(module, str)
    return f"{name}"[:TYPE_CHARACTERS] if is_bare else f"{module}.{name}"[: 2 * TYPE_CHARACTERS]
