"""``@handler``: what a user declares of a function, checked where it is declared."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from jobfleet_contracts.control import CONTROL_NAME
from jobfleet_contracts.errors import InvalidRequest, JobfleetError
from jobfleet_contracts.job import MAX_LIMITS, QUEUE_PATTERN, TYPE_PATTERN
from jobfleet_contracts.job_bounds import (
    MAX_ATTEMPTS,
    MAX_RETRY_DELAY_SECONDS,
    MAX_TAKEOVER_LIMIT,
    MAX_TIMEOUT_SECONDS,
)
from jobfleet_contracts.lease import MAX_SLOTS
from jobfleet_contracts.lookup_keys import MOST_KEYS, PAYLOAD_KEY
from jobfleet_contracts.rate import Rate
from jobfleet_worker.handlers.declared_keys import (
    KeyOf,
    KeyRefused,
    problem_with_key,
    problem_with_text,
    read_key,
)
from jobfleet_worker.handlers.typed_submit import HandlerMark, add_submits

RetryOn = tuple[type[BaseException], ...]
_ATTRIBUTE = "__jobfleet_handlers__"


class DeclarationError(JobfleetError):
    """A handler cannot be used as it is declared; the message says where, why and the remedy."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One ``@handler`` on one function.

    Attributes:
        aliases: other types that the function runs too.
        place: the function as people find it: ``imports.import_rows (imports.py:12)``.
    """

    job_type: str
    place: str
    run_in: Literal["thread", "process"] | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    retry_on: RetryOn = (Exception,)
    aliases: tuple[str, ...] = ()
    rate: Rate | None = None
    rate_key: KeyOf | None = None
    queue: str | None = None
    index: tuple[str, ...] = ()
    lock_key: KeyOf | str | None = None
    lock_slots: int = 1
    limits: tuple[str, ...] = ()
    on_lost: Literal["retry", "fail"] | None = None
    max_takeovers: int | None = None
    retry_delay: float | None = None

    def job_options(self, payload: Any) -> dict[str, Any]:
        """Return what the decorator says of jobs of this payload, as options of a submit.

        Limits are left out: workers add them to every job of the type.

        Args:
            payload: as the handler gets it.

        Raises:
            InvalidRequest: ``lock_key`` returned no key, or raised.
        """
        try:
            lock_key = read_key("lock_key", self.lock_key, payload)
        except KeyRefused as refused:
            message = f"lockKey: lock_key of @handler({self.job_type!r}) {refused}"
            raise InvalidRequest(message, field="lockKey") from refused
        fields = {
            "lock_key": lock_key,
            "lock_slots": None if lock_key is None else self.lock_slots,
            "max_takeovers": self.max_takeovers,
        }
        return self.step_options() | {n: value for n, value in fields.items() if value is not None}

    def step_options(self) -> dict[str, Any]:
        """Return what the decorator says of jobs of any payload, as options of a ``Then``."""
        fields = {
            "max_attempts": self.max_attempts,
            "timeout": self.timeout,
            "queue": self.queue,
            "on_lost": self.on_lost,
        }
        return {name: value for name, value in fields.items() if value is not None}


declared_in: dict[str, list[Declaration]] = {}
"""All declarations by the module of their function; each import begins the list anew."""


def handler(
    job_type: str,
    *,
    run_in: Literal["thread", "process"] | None = None,
    max_attempts: int | None = None,
    timeout: float | None = None,
    retry_on: RetryOn = (Exception,),
    aliases: Sequence[str] = (),
    rate: str | Rate | None = None,
    rate_key: KeyOf | None = None,
    queue: str | None = None,
    index: Sequence[str] = (),
    lock_key: KeyOf | str | None = None,
    lock_slots: int = 1,
    limits: Sequence[str] = (),
    on_lost: Literal["retry", "fail"] | None = None,
    max_takeovers: int | None = None,
    retry_delay: float | None = None,
) -> HandlerMark:
    """Mark a function as the handler of a job type; several marks make it the handler of several.

    The function takes the payload and, if it likes, the context; or only a parameter annotated as a
    context; or nothing.
    A coroutine function runs on the worker's event loop, a plain function in a thread. With
    ``run_in="process"`` it runs in a process of the worker's pool, which cancel and time-out kill.

    Args:
        max_attempts: from 1 to 100, for jobs that do not say.
        timeout: seconds of one attempt, for jobs that do not say.
        retry_on: exceptions that are worth another attempt; others end the job at once.
        aliases: earlier names of the type; their jobs run here too, and keep their type.
        rate: how many jobs may start in a period, over the fleet: ``"10/second"``, or a ``Rate``
            with a burst or a longer grace. All types of the handler count together.
        rate_key: makes a text of the payload; jobs count by it apart. It must be quick.
        lock_key: a text, or a function that makes one of the payload; the function must be quick.
            jobfleet starts one job of a key at a time. After a pause a handler that is being
            stopped may still overlap the next one. A lock key of the job itself comes first.
        lock_slots: how many jobs of one lock key may run at the same time, instead of one.
        limits: named limits, which operators set; every job of the type needs a slot of each.
        on_lost: ``retry`` starts a job again whose worker was lost, ``fail`` ends it: for a job
            that must not run twice. For jobs that do not say.
        max_takeovers: how many lost workers in a row a job survives, from 0 to 100; by default 5.
        retry_delay: base of the back-off in seconds, for jobs that do not say. The pause before
            the next attempt is drawn between zero and ``retry_delay * 2 ** (failures - 1)``.
        queue: where the function's own ``submit``, ``then`` and ``@schedule`` put its jobs. A
            submit by the type's name must say it itself: it does not see the handler.
        index: up to eight keys of the payload by whose values jobs are found, as in a search for
            ``payload.customer:42``. Values are texts, numbers or truth values.

    The decorated function has ``submit``, ``submit_sync``, ``submit_many`` and
    ``submit_many_sync``; see :class:`jobfleet_worker.handlers.typed_submit.Submits`.

    Raises:
        DeclarationError: an option is wrong, or no function is decorated.
    """
    if callable(job_type):
        raise DeclarationError(
            f'{place_of(job_type)}: @handler needs the job type. Write @handler("some.type")'
        )

    problem = (
        _problem_with_aliases(job_type, aliases)
        or _problem_with_rate(rate, rate_key)
        or _problem_with_index(index)
        or _problem_with_lock(lock_key, lock_slots)
        or _problem_with_limits(limits)
    )
    # Values with a problem are left out: to convert them would raise another error first.
    declared = partial(
        Declaration,
        job_type,
        run_in=run_in,
        max_attempts=max_attempts,
        timeout=timeout,
        retry_on=retry_on,
        aliases=() if problem else tuple(aliases),
        rate=None if problem or rate is None else as_rate(rate),
        rate_key=rate_key,
        queue=queue,
        index=() if problem else tuple(index),
        lock_key=lock_key,
        lock_slots=lock_slots,
        limits=() if problem else tuple(limits),
        on_lost=on_lost,
        max_takeovers=max_takeovers,
        retry_delay=retry_delay,
    )
    marked: HandlerMark = partial(_mark, declared, problem)
    return marked


def _mark(declared: Callable[..., Declaration], problem: str | None, function: Any) -> Any:
    """Note the declaration at its function.

    Raises:
        DeclarationError: no function is decorated, or an option has a problem.
    """
    declaration = declared(place=place_of(function))
    problem = _problem_of(function) or problem or _problem_with(declaration)
    if problem is not None:
        raise DeclarationError(
            f"{declaration.place}: @handler({declaration.job_type!r}): {problem}"
        )
    setattr(function, _ATTRIBUTE, (*declarations_of(function), declaration))
    add_submits(function, declaration)
    declared_in.setdefault(function.__module__, []).append(declaration)
    return function


def declarations_of(value: Any) -> tuple[Declaration, ...]:
    """Return what ``@handler`` has declared of a value; nothing for anything but functions.

    The attribute is read statically: to ask a proxy or a mock for it would run code of theirs.
    """
    marks = inspect.getattr_static(value, _ATTRIBUTE, None)
    return marks if isinstance(marks, tuple) else ()


def place_of(function: Any) -> str:
    """Return where a function stands, as people find it."""
    inner = inspect.unwrap(function) if callable(function) else function
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    module = getattr(inner, "__module__", None)
    code = getattr(inner, "__code__", None)
    line = f" (line {code.co_firstlineno})" if code is not None else ""
    return f"{module}.{name}{line}" if module else f"{name}{line}"


def _problem_of(function: Any) -> str | None:
    is_decorated = callable(function) and not (
        inspect.isclass(function) or inspect.ismethod(function)
    )
    if inspect.isfunction(function) or (
        is_decorated and inspect.isfunction(inspect.unwrap(function))
    ):
        return None
    kind = "a class" if inspect.isclass(function) else f"a {type(function).__name__}"
    return f"it decorates {kind}, not a function. Write a module-level function that calls it"


def _problem_with(declared: Declaration) -> str | None:
    """Return what is wrong with the first wrong option, and the remedy."""
    if not _is_type(declared.job_type):
        return "a type is 1 to 100 letters, digits, '_', '-' and '.'"
    if declared.run_in not in (None, "thread", "process"):
        return f"run_in is {declared.run_in!r}; it can be 'thread' or 'process'"
    if declared.max_attempts is not None and not _is_count(declared.max_attempts):
        return (
            f"max_attempts is {declared.max_attempts!r}; "
            f"it can be a whole number from 1 to {MAX_ATTEMPTS}"
        )
    if declared.timeout is not None and not _is_timeout(declared.timeout):
        return (
            f"timeout is {declared.timeout!r}; it can be a number of seconds above 0, "
            f"at most {MAX_TIMEOUT_SECONDS:,}"
        )
    if declared.on_lost not in (None, "retry", "fail"):
        return f"on_lost is {declared.on_lost!r}; it can be 'retry' or 'fail'"
    if declared.max_takeovers is not None and not _is_takeovers(declared):
        return (
            f"max_takeovers is {declared.max_takeovers!r}; it can be a whole number from 0 to "
            f"{MAX_TAKEOVER_LIMIT}, and only 0 beside on_lost='fail'"
        )
    if declared.retry_delay is not None and not _is_retry_delay(declared.retry_delay):
        return (
            f"retry_delay is {declared.retry_delay!r}; it can be a number of seconds from 0 to "
            f"{MAX_RETRY_DELAY_SECONDS:,}"
        )
    if declared.queue is not None and not _is_queue(declared.queue):
        return f"queue is {declared.queue!r}; it can be 1 to 50 small letters, digits, '-' and '_'"
    return _problem_with_retry_on(declared.retry_on)


def _problem_with_aliases(job_type: Any, aliases: Any) -> str | None:
    if isinstance(aliases, str) or not isinstance(aliases, list | tuple):
        return f"aliases is {aliases!r}; it can be a list of types, as ['old.name']"
    for each in aliases:
        if not _is_type(each):
            return f"aliases has {each!r}; a type is 1 to 100 letters, digits, '_', '-' and '.'"
    if job_type in aliases or len(set(aliases)) < len(aliases):
        return f"aliases is {aliases!r}; it can name each other type once"
    return None


def as_rate(rate: str | Rate) -> Rate:
    """Return what a declaration says as a rate.

    Raises:
        ValueError: it is none; says what is allowed.
    """
    return rate if isinstance(rate, Rate) else Rate(rate)


def _problem_with_rate(rate: Any, rate_key: Any) -> str | None:
    if rate is None:
        return None if rate_key is None else "rate_key needs a rate beside it, as rate='10/second'"
    try:
        as_rate(rate)
    except ValueError as error:
        return str(error)
    return problem_with_key("rate_key", rate_key)


def _problem_with_lock(lock_key: Any, lock_slots: Any) -> str | None:
    if type(lock_slots) is not int or not 1 <= lock_slots <= MAX_SLOTS:
        return f"lock_slots is {lock_slots!r}; it can be a whole number from 1 to {MAX_SLOTS}"
    if lock_key is None:
        return None if lock_slots == 1 else "lock_slots needs a lock_key beside it"
    if isinstance(lock_key, str):
        problem = problem_with_text(lock_key)
        return None if problem is None else f"lock_key is {problem}"
    return problem_with_key("lock_key", lock_key)


def _problem_with_limits(limits: Any) -> str | None:
    wanted = f"it can be a list of up to {MAX_LIMITS} names, as ['api-stripe']"
    if isinstance(limits, str) or not isinstance(limits, list | tuple):
        return f"limits is {limits!r}; {wanted}"
    if not all(isinstance(name, str) and CONTROL_NAME.fullmatch(name) for name in limits):
        return f"limits is {limits!r}; {wanted}, each of letters, digits, '_', '-' and '.'"
    if len(limits) > MAX_LIMITS or len(set(limits)) < len(limits):
        return f"limits is {limits!r}; {wanted}, each once"
    return None


def _problem_with_index(index: Any) -> str | None:
    if isinstance(index, str) or not isinstance(index, list | tuple):
        return f"index is {index!r}; it can be a list of payload keys, as ['customer']"
    for name in index:
        if not isinstance(name, str) or not PAYLOAD_KEY.fullmatch(name):
            return f"index has {name!r}; a key is 1 to 50 letters, digits, '_' and '-'"
    if len(index) > MOST_KEYS or len(set(index)) < len(index):
        return f"index has {len(index)} keys; it can name up to {MOST_KEYS} different ones"
    return None


def _problem_with_retry_on(retry_on: Any) -> str | None:
    if _is_exception(retry_on):
        return f"retry_on is a class. Write a tuple: retry_on=({retry_on.__name__},)"
    if not isinstance(retry_on, tuple) or not all(map(_is_exception, retry_on)):
        return f"retry_on is {retry_on!r}; it can be a tuple of exception classes, as (OSError,)"
    return None


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and TYPE_PATTERN.fullmatch(value) is not None


def _is_takeovers(declared: Declaration) -> bool:
    most = 0 if declared.on_lost == "fail" else MAX_TAKEOVER_LIMIT
    return type(declared.max_takeovers) is int and 0 <= declared.max_takeovers <= most


def _is_queue(value: Any) -> bool:
    return isinstance(value, str) and QUEUE_PATTERN.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_ATTEMPTS


def _is_timeout(value: Any) -> bool:
    return _is_seconds(value) and 0 < value <= MAX_TIMEOUT_SECONDS


def _is_retry_delay(value: Any) -> bool:
    return _is_seconds(value) and 0 <= value <= MAX_RETRY_DELAY_SECONDS


def _is_seconds(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _is_exception(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseException)
