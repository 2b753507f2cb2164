"""Schedules that a handler module declares: ``@schedule`` on a handler, or a list ``schedules``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any, TypeVar

from pydantic.alias_generators import to_snake

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.schedule import CatchUp, Overlap, Schedule
from jobfleet_worker.handlers.declaration import DeclarationError, declarations_of, place_of

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__jobfleet_schedules__"
_LIST = "schedules"
_SPANS = ("everySeconds", "jitterSeconds")
_ANY = "any"
"""Stands for name and type while ``@schedule`` checks the rest: ``@handler`` may come later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSchedule:
    """A schedule, and where it is declared as people find it."""

    schedule: Schedule
    place: str


@dataclass(frozen=True, slots=True, eq=False)
class ScheduleMark:
    """One ``@schedule`` on one function; ``fields`` as :class:`Schedule` takes them."""

    fields: dict[str, Any]
    place: str

    @property
    def text(self) -> str:
        """The mark as it stands in the code, for messages."""
        when = self.fields.get("cron") or self.fields.get("every")
        return f"{self.place}: @schedule({when!r})"


marked_in: dict[str, list[ScheduleMark]] = {}
"""All marks by the module of their function; each import begins the list anew."""


def schedule(
    cron: str | None = None,
    *,
    every: timedelta | None = None,
    name: str | None = None,
    timezone: str = "UTC",
    start: datetime | None = None,
    payload: Any = None,
    overlap: Overlap | None = None,
    catch_up: CatchUp = "last",
    jitter: timedelta | None = None,
    **job: Any,
) -> Callable[[F], F]:
    """Let a handler run again and again; stands above or below its ``@handler``.

    Every worker that starts with the module declares the schedule. Each tick makes one job, however
    many workers run.

    Args:
        cron: five fields, minute first, or six with seconds first; or else ``every``.
        name: the handler's type, unless it is given.
        timezone: IANA name, in which the cron line is read.
        start: no tick lies before it.
        overlap: while the previous tick's job has not ended: ``skip``, ``queue`` or ``allow``.
            The default is ``skip``, and ``queue`` with ``catch_up="all"``.
        catch_up: ticks that were not fired in time: ``none``, ``last`` or ``all``, at most 100.
        jitter: fire later by up to this, always by the same amount.
        job: other fields of a job request, as ``priority`` and ``lock_key``. Without ``queue``
            the jobs go to the queue that the handler names.

    Raises:
        DeclarationError: an option does not fit; names it.
    """
    if callable(cron):
        raise DeclarationError(
            f'{place_of(cron)}: @schedule needs its times. Write @schedule("0 6 * * *")'
        )
    # What has its default is left out: the stored declaration then says no more than the code.
    options = {
        "cron": cron,
        "every": every,
        "name": name,
        "timezone": None if timezone == "UTC" else timezone,
        "start": start,
        "payload": payload,
        "overlap": overlap,
        "catch_up": None if catch_up == "last" else catch_up,
        "jitter": jitter,
    }
    fields = {key: value for key, value in (options | job).items() if value is not None}

    def mark(function: F) -> F:
        found = ScheduleMark(fields, place_of(function))
        _schedule_of(found, {"name": _ANY, "type": _ANY} | fields)
        setattr(function, _MARK, (*_marks_of(function), found))
        marked_in.setdefault(function.__module__, []).append(found)
        return function

    return mark


def schedules_of(function: Any) -> Iterator[DeclaredSchedule]:
    """Yield what ``@schedule`` has declared of a handler.

    Raises:
        DeclarationError: the function is not a handler, or handles several types and chooses none.
    """
    declared = {each.job_type: each for each in declarations_of(function)}
    types = list(declared)
    for mark in _marks_of(function):
        if not types:
            raise DeclarationError(
                f'{mark.text}: the function is not a handler. Add @handler("some.type")'
            )
        chosen = mark.fields.get("type", types[0])
        if len(types) > 1 and "type" not in mark.fields:
            raise DeclarationError(
                f"{mark.text}: the function handles {' and '.join(sorted(types))}. "
                f"Say which one: type={types[0]!r}"
            )
        if chosen not in types:
            raise DeclarationError(
                f"{mark.text}: type {chosen!r} is not handled by this function. Leave it out"
            )
        queue = declared[chosen].queue
        of_handler = {} if queue is None else {"queue": queue}
        named = {"name": chosen, "type": chosen} | of_handler | mark.fields
        yield DeclaredSchedule(schedule=_schedule_of(mark, named), place=mark.place)


def schedules_in(module: ModuleType) -> list[DeclaredSchedule]:
    """Return what a handler module declares, by ``@schedule`` and by its list ``schedules``.

    Raises:
        DeclarationError: a declaration has no effect, or cannot be used.
    """
    values = list(vars(module).values())
    found = [each for value in values if _marks_of(value) for each in schedules_of(value)]
    _refuse_hidden(module, {id(mark) for value in values for mark in _marks_of(value)})
    return [*found, *_listed(module)]


def _listed(module: ModuleType) -> Iterator[DeclaredSchedule]:
    listed = vars(module).get(_LIST, ())  # getattr would call a __getattr__ of the module's
    if isinstance(listed, ModuleType) or inspect.isroutine(listed) or inspect.isclass(listed):
        return  # of that name by chance
    if not isinstance(listed, list | tuple):
        raise DeclarationError(
            f"{_LIST} is a {type(listed).__name__}. Write a list: {_LIST} = [Schedule(...)]"
        )
    for number, each in enumerate(listed, start=1):
        if not isinstance(each, Schedule):
            raise DeclarationError(
                f"item {number} of {_LIST} is a {type(each).__name__}, not a Schedule"
            )
        yield DeclaredSchedule(schedule=each, place=f"{module.__name__}.{_LIST}")


def _refuse_hidden(module: ModuleType, found: set[int]) -> None:
    for mark in marked_in.get(module.__name__, ()):
        if id(mark) not in found:
            raise DeclarationError(
                f"{mark.text} has no effect: no top-level name of the module holds the marked "
                "function. Define the function there under a name of its own"
            )


def _marks_of(value: Any) -> Sequence[ScheduleMark]:
    """Read the marks statically: asking a proxy or a mock for them would run code of theirs."""
    marks = inspect.getattr_static(value, _MARK, None)
    return marks if isinstance(marks, tuple) else ()


def _schedule_of(mark: ScheduleMark, fields: dict[str, Any]) -> Schedule:
    try:
        return Schedule(**fields)
    except InvalidRequest as error:
        raise DeclarationError(f"{mark.text}: {as_in_code(error)}") from error


def as_in_code(error: InvalidRequest) -> str:
    """Return what is wrong with a schedule, its field named as Python code names it."""
    field = error.field or ""
    name = to_snake(field).removesuffix("_seconds") if field in _SPANS else to_snake(field)
    return str(error).replace(field, name, 1)
