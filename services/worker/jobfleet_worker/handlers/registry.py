"""The code that runs jobs, by type."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from jobfleet_contracts.errors import JobfleetError
from jobfleet_worker.handlers.context import ContextFacts
from jobfleet_worker.handlers.verdicts import Fail

RunIn = Literal["loop", "thread", "process"]
Parameter = Literal["payload", "context"]
BOTH: tuple[Parameter, ...] = ("payload", "context")
BUILT_IN = ("jobfleet_worker.builtin.demo_steps",)
_MARK = "__jobfleet_handler__"

F = TypeVar("F", bound=Callable[..., Any])


class HandlerImportError(JobfleetError):
    """A handler module cannot be imported, or two handlers claim one type; fix the module."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One function and how it is to be run.

    Attributes:
        run_in: ``loop`` for coroutine functions, else a thread or a process of its own.
        max_attempts, timeout: defaults for jobs that do not say; seconds.
        retry_on: exceptions that are worth another attempt; others end the job.
        takes: what the function is called with, in this order: ``payload``, ``context``.
        waits: a built-in that waits for a third party; it takes a ``CallbackWait`` last.
    """

    job_type: str
    function: Callable[..., Any]
    run_in: RunIn
    max_attempts: int | None = None
    timeout: float | None = None
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    takes: tuple[Parameter, ...] = BOTH
    payload_type: TypeAdapter[Any] | None = None
    waits: bool = False

    def read_payload(self, payload: Any) -> Any:
        """Return the payload as the function's annotation wants it.

        Raises:
            Fail: it does not fit; another attempt would not help.
        """
        if self.payload_type is None:
            return payload
        try:
            return self.payload_type.validate_python(payload)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, ("payload", *problem["loc"])))
            raise Fail(f"{where}: {problem['msg'].removeprefix('Value error, ')}") from None

    def call(self, payload: Any, context: ContextFacts, wait: Any = None) -> Any:
        """Call the function with as much as it takes; a coroutine function's coroutine."""
        given = {"payload": payload, "context": context}
        values = [given[name] for name in self.takes]
        return self.function(*values, wait) if self.waits else self.function(*values)


def handler(
    job_type: str,
    *,
    run_in: Literal["thread", "process"] | None = None,
    max_attempts: int | None = None,
    timeout: float | None = None,
    retry_on: tuple[type[BaseException], ...] = (Exception,),
) -> Callable[[F], F]:
    """Mark a function as the handler of a job type.

    It takes the payload and, if it likes, the context; or only a parameter annotated as a context;
    or nothing.
    A coroutine function runs on the worker's event loop, a plain function in a thread, with
    ``run_in="process"`` in a process of its own, which cancel and time-out kill.
    """

    def mark(function: F) -> F:
        declared = replace(
            describe(job_type, function, run_in),
            max_attempts=max_attempts,
            timeout=timeout,
            retry_on=retry_on,
        )
        setattr(function, _MARK, declared)
        return function

    return mark


def describe(job_type: str, function: Callable[..., Any], run_in: RunIn | None = None) -> Handler:
    """Return the handler that a function is, as its signature and annotations tell.

    Raises:
        TypeError: ``run_in`` with a coroutine function.
    """
    is_async = inspect.iscoroutinefunction(function)
    if is_async and run_in is not None:
        raise TypeError(f"{job_type}: run_in is for plain functions, not for async ones")
    parameters = list(inspect.signature(function).parameters)
    annotations = _annotations(function)
    wanted = annotations.get(parameters[0]) if parameters else None
    takes: tuple[Parameter, ...] = BOTH[: len(parameters)]
    if inspect.isclass(wanted) and issubclass(wanted, ContextFacts):
        takes, wanted = ("context",), None
    return Handler(
        job_type=job_type,
        function=function,
        run_in=run_in or ("loop" if is_async else "thread"),
        takes=takes,
        payload_type=None if wanted in (None, Any) else TypeAdapter(wanted),
    )


def handler_of(function: Callable[..., Any]) -> Handler | None:
    """Return what ``@handler`` has declared of a function, ``None`` if it is not marked."""
    return getattr(function, _MARK, None)


def _annotations(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(function)
    except NameError:
        return {}


class Handlers:
    """The handlers of one worker."""

    def __init__(self, handlers: Sequence[Handler] = ()) -> None:
        self._by_type: dict[str, Handler] = {}
        for each in handlers:
            self.add(each)

    @classmethod
    def load(cls, modules: Sequence[str]) -> Handlers:
        """Import modules and collect what they mark; built-in handlers are there always.

        Raises:
            HandlerImportError: with the module's own traceback.
        """
        found = cls()
        for name in (*BUILT_IN, *modules):
            for each in _handlers_in(name):
                found.add(each)
        return found

    @classmethod
    def of(cls, *functions: Callable[..., Any]) -> Handlers:
        """Collect marked functions directly."""
        return cls([getattr(function, _MARK) for function in functions])

    def add(self, found: Handler) -> None:
        """Register one handler.

        Raises:
            HandlerImportError: its type has another handler.
        """
        known = self._by_type.get(found.job_type)
        if known is not None and known.function is not found.function:
            raise HandlerImportError(
                f"type {found.job_type!r} has two handlers: {_place(known)} and {_place(found)}"
            )
        self._by_type[found.job_type] = found

    def get(self, job_type: str) -> Handler | None:
        """Return the handler of a type, if this worker has one."""
        return self._by_type.get(job_type)

    def with_built_in(self, *declared: Handler) -> Handlers:
        """Return these handlers and some that the worker itself provides.

        Raises:
            HandlerImportError: a type has another handler already.
        """
        return Handlers([*self._by_type.values(), *declared])

    @property
    def types(self) -> tuple[str, ...]:
        """Every type that this worker can run."""
        return tuple(sorted(self._by_type))


def _place(found: Handler) -> str:
    return f"{found.function.__module__}.{found.function.__qualname__}"


def _handlers_in(name: str) -> list[Handler]:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise HandlerImportError(
            f"handler module {name!r} cannot be imported\n{traceback.format_exc()}"
        ) from error
    return [getattr(value, _MARK) for value in vars(module).values() if hasattr(value, _MARK)]


def to_json(result: Any) -> Any:
    """Return what a handler returned as JSON values.

    Raises:
        TypeError: it holds something that JSON cannot.
    """
    if result is None or isinstance(result, str | bool | int):
        return result
    try:
        plain = to_jsonable_python(result, inf_nan_mode="constants")
    except Exception as error:  # a result may run code of its own: iterators, serializers
        raise TypeError(f"the handler's result cannot be JSON: {error}") from error
    _refuse_guesses(result)
    return plain


def _refuse_guesses(value: Any) -> None:
    """Sets have no order and bytes no encoding; a model that declares them says what it means."""
    if isinstance(value, set | frozenset | bytes | bytearray):
        raise TypeError(f"the handler's result cannot be JSON: it holds a {type(value).__name__}")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        _refuse_guesses(item)
