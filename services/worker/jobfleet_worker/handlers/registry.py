"""The code that runs jobs, by type."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

import structlog

from jobfleet_contracts.errors import InvalidRequest, JobfleetError
from jobfleet_contracts.rate import Rate
from jobfleet_contracts.schedule import Schedule
from jobfleet_worker.handlers.context import ContextFacts
from jobfleet_worker.handlers.declaration import (
    Declaration,
    DeclarationError,
    RetryOn,
    declarations_of,
    declared_in,
    place_of,
)
from jobfleet_worker.handlers.declared_keys import KeyOf
from jobfleet_worker.handlers.hook_marks import hook_mark_of
from jobfleet_worker.handlers.hooks import NO_HOOKS, NO_PLAN, CallPlan, Hooks
from jobfleet_worker.handlers.schedule_marks import (
    DeclaredSchedule,
    as_in_code,
    marked_in,
    schedules_in,
    schedules_of,
)
from jobfleet_worker.handlers.signature import Signature, SignatureRefused, Takes, read_signature

RunIn = Literal["loop", "thread", "process"]
IMPORT_INTERRUPTED = "import.interrupted"
BUILT_IN = ("jobfleet_worker.builtin.demo_steps",)

_log = structlog.get_logger()


class HandlerImportError(JobfleetError):
    """A module's handlers cannot be used; the message names module and cause."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One function and how it is to be run.

    Attributes:
        run_in: ``loop`` for coroutine functions, else a thread or a process of the pool.
        max_attempts, timeout, retry_delay: defaults for jobs that do not say; seconds.
        retry_on: exceptions that are worth another attempt; others end the job.
        module: where a process imports the function from.
        waits: a built-in that waits for a third party; it takes a ``CallbackWait`` last.
        aliases: other types whose jobs it runs.
        index: keys of the payload by whose values jobs are found.
        plan: the hooks around its calls.
        on_lost, max_takeovers: what becomes of a job whose worker was lost, if it does not say.
        rate, rate_key: how often it may start in the whole fleet, and what counts apart.
        lock_key, lock_slots: the lock of jobs that name none.
        limits: named limits of all its jobs.
        queue: where the function's own submits put its jobs.
    """

    job_type: str
    function: Callable[..., Any]
    run_in: RunIn
    max_attempts: int | None = None
    timeout: float | None = None
    retry_delay: float | None = None
    retry_on: RetryOn = (Exception,)
    signature: Signature = field(default_factory=Signature)
    module: str = ""
    waits: bool = False
    aliases: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    plan: CallPlan = NO_PLAN
    rate: Rate | None = None
    rate_key: KeyOf | None = None
    lock_key: KeyOf | str | None = None
    lock_slots: int = 1
    limits: tuple[str, ...] = ()
    on_lost: Literal["retry", "fail"] | None = None
    max_takeovers: int | None = None
    queue: str | None = None

    @property
    def reads_with_code(self) -> bool:
        """Whether reading a payload may run code of the user's."""
        return self.signature.runs_code

    def read_payload(self, payload: Any) -> Any:
        """Return the payload as the function's annotation wants it.

        Raises:
            Fail: it does not fit; another attempt would not help.
        """
        return self.signature.read_payload(payload)

    def call(
        self, payload: Any, context: ContextFacts, provided: Mapping[str, Any], wait: Any = None
    ) -> Any:
        """Call the function with as much as it takes; a coroutine function's coroutine.

        Args:
            provided: values that it asks for by the annotations of its parameters, by name.
        """
        given: dict[Takes, Any] = {"payload": payload, "context": context}
        if provided:
            return self.function(**self.signature.named(given), **provided)
        values = [given[name] for name in self.signature.takes]
        return self.function(*values, wait) if self.waits else self.function(*values)


def describe(
    function: Callable[..., Any],
    declaration: Declaration,
    module: str,
    *,
    waits: bool = False,
    hooks: Hooks = NO_HOOKS,
) -> Handler:
    """Return the handler that a function is by its declaration and its signature.

    Args:
        hooks: stand around its calls, and provide values for its parameters.

    Raises:
        DeclarationError: it cannot be called so, or its payload not be checked.
    """
    # A decorator may have wrapped the coroutine function in a plain one, which returns its
    # coroutine: in a thread no loop would await that.
    is_async = any(map(inspect.iscoroutinefunction, (function, inspect.unwrap(function))))
    try:
        _check_kind(function, declaration, is_async)
        signature = read_signature(
            function, is_async=is_async, waits=waits, provided=hooks.provided_types
        )
    except SignatureRefused as refused:
        declared_as = f"@handler({declaration.job_type!r})"
        raise DeclarationError(
            f"{declaration.place}: {declared_as}: {refused}"
        ) from refused.__cause__
    return Handler(
        job_type=declaration.job_type,
        function=function,
        run_in=declaration.run_in or ("loop" if is_async else "thread"),
        max_attempts=declaration.max_attempts,
        timeout=declaration.timeout,
        retry_delay=declaration.retry_delay,
        retry_on=declaration.retry_on,
        signature=signature,
        module=module,
        waits=waits,
        aliases=declaration.aliases,
        on_lost=declaration.on_lost,
        max_takeovers=declaration.max_takeovers,
        plan=hooks.plan(function, (declaration.job_type, *declaration.aliases), signature.provided),
        rate=declaration.rate,
        rate_key=declaration.rate_key,
        index=declaration.index,
        lock_key=declaration.lock_key,
        lock_slots=declaration.lock_slots,
        limits=declaration.limits,
        queue=declaration.queue,
    )


def undeclared(
    job_type: str, function: Callable[..., Any], *, waits: bool = False, hooks: Hooks = NO_HOOKS
) -> Handler:
    """Return the handler that a function without ``@handler`` is."""
    declaration = Declaration(job_type, place_of(function))
    return describe(function, declaration, function.__module__, waits=waits, hooks=hooks)


def handlers_of(*functions: Callable[..., Any], hooks: Hooks = NO_HOOKS) -> list[Handler]:
    """Return the handlers that functions are declared as.

    Raises:
        DeclarationError: one cannot be used so, or a process could not import it.
    """
    found = [
        describe(function, declaration, function.__module__, hooks=hooks)
        for function in functions
        for declaration in declarations_of(function)
    ]
    for each in found:
        _check_import(each)
    return found


def schedules_at(name: str) -> list[DeclaredSchedule]:
    """Import a module and return the schedules that it declares.

    Raises:
        HandlerImportError: it cannot be imported, or one of them cannot be used.
    """
    module = _import(name)
    try:
        return schedules_in(module)
    except DeclarationError as error:
        raise HandlerImportError(f"handler module {name!r}: {error}") from error


def hooks_at(names: Sequence[str]) -> Hooks:
    """Import modules and return the hooks at their top level.

    Raises:
        HandlerImportError: one cannot be imported, or a hook cannot be used.
    """
    functions = [
        value
        for name in names
        for value in list(vars(_import(name)).values())
        if hook_mark_of(value) is not None
    ]
    try:
        return Hooks(functions)
    except DeclarationError as error:
        raise HandlerImportError(str(error)) from error


def handlers_in(name: str, hooks: Hooks) -> list[Handler]:
    """Import a module and return the handlers at its top level.

    Raises:
        HandlerImportError: it cannot be imported, has no handler, schedule or hook, or one that
            cannot be used.
    """
    module = _import(name)
    declared = [
        (value, declaration)
        for value in list(vars(module).values())
        for declaration in declarations_of(value)
    ]
    _refuse_hidden(name, {declaration for _, declaration in declared})
    has_hooks = any(hook_mark_of(each) is not None for each in list(vars(module).values()))
    if not declared and not has_hooks and not schedules_at(name):
        raise HandlerImportError(
            f'handler module {name!r} has no handler. Mark its functions with @handler("some.type")'
        )
    try:
        return [describe(value, declared_as, name, hooks=hooks) for value, declared_as in declared]
    except DeclarationError as error:
        raise HandlerImportError(f"handler module {name!r}: {error}") from error


class Handlers:
    """The handlers of one worker, and the schedules and hooks that their modules declare."""

    def __init__(
        self,
        handlers: Sequence[Handler] = (),
        schedules: Sequence[DeclaredSchedule] = (),
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        self.hooks = hooks
        self._by_type: dict[str, Handler] = {}
        self._scheduled: dict[str, DeclaredSchedule] = {}
        for each in handlers:
            self.add(each)
        for declared in schedules:
            self._add_schedule(declared)

    @classmethod
    def load(cls, modules: Sequence[str]) -> Handlers:
        """Import modules and collect what they mark; built-in handlers are there always.

        Raises:
            HandlerImportError: a module or one of its handlers cannot be used.
        """
        names = (*BUILT_IN, *modules)
        hooks = hooks_at(names)
        found = [each for name in names for each in handlers_in(name, hooks)]
        return cls(found, [each for name in names for each in schedules_at(name)], hooks)

    @classmethod
    def of(cls, *functions: Callable[..., Any]) -> Handlers:
        """Collect marked functions directly: handlers and hooks.

        Raises:
            DeclarationError: one cannot be used as it is declared.
        """
        marked = [each for function in functions for each in schedules_of(function)]
        hooks = Hooks(functions)
        return cls(handlers_of(*functions, hooks=hooks), marked, hooks)

    def add(self, found: Handler) -> None:
        """Register one handler, under its type and its aliases.

        Raises:
            HandlerImportError: one of its types has another handler.
        """
        for job_type in (found.job_type, *found.aliases):
            known = self._by_type.get(job_type)
            if known is not None and known.function is not found.function:
                raise HandlerImportError(
                    f"type {job_type!r} has two handlers: "
                    f"{place_of(known.function)} and {place_of(found.function)}"
                )
            self._by_type[job_type] = found

    def get(self, job_type: str) -> Handler | None:
        """Return the handler of a type, if this worker has one."""
        return self._by_type.get(job_type)

    @property
    def indexed_keys(self) -> dict[str, tuple[str, ...]]:
        """The payload keys by which jobs are found, by type; only types that declare some."""
        return {name: each.index for name, each in self._by_type.items() if each.index}

    def with_built_in(self, *declared: Handler) -> Handlers:
        """Return these handlers and some that the worker itself provides.

        Raises:
            HandlerImportError: a type has another handler already.
        """
        known = [*self._by_type.values(), *declared]
        return Handlers(known, [*self._scheduled.values()], self.hooks)

    def wanted(self, *, in_process: bool) -> list[Any]:
        """Return the types that handlers ask for, in processes of their own or in the worker's."""
        return [
            made
            for each in self._by_type.values()
            if (each.run_in == "process") is in_process
            for made in each.plan.arguments.values()
        ]

    @property
    def types(self) -> tuple[str, ...]:
        """Every type that this worker can run."""
        return tuple(sorted(self._by_type))

    @property
    def aliases(self) -> dict[str, str]:
        """Earlier names of types to the names that they have now."""
        found = self._by_type.items()
        return {name: each.job_type for name, each in found if name != each.job_type}

    def outside(self, queues: Sequence[str]) -> dict[str, str]:
        """Return the types whose handler names a queue that is none of these, with that queue."""
        return {
            name: each.queue
            for name, each in sorted(self._by_type.items())
            if each.queue is not None and each.queue not in queues
        }

    @property
    def process_modules(self) -> tuple[str, ...]:
        """The modules whose handlers run in processes."""
        found = {each.module for each in self._by_type.values() if each.run_in == "process"}
        return tuple(sorted(found))

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """Every schedule that this worker declares, by name."""
        return tuple(self._scheduled[name].schedule for name in sorted(self._scheduled))

    def refusal_of(self, schedule: Schedule) -> str | None:
        """Return why the handler of its type refuses its payload.

        ``None`` if it takes it, or if another worker has the handler.
        """
        found = self._by_type.get(schedule.job["type"])
        if found is None:
            return None
        try:
            found.read_payload(schedule.job.get("payload"))
        except Exception as error:  # noqa: BLE001 - a validator of the handler's may raise anything
            return str(error) or type(error).__name__
        return None

    def _add_schedule(self, declared: DeclaredSchedule) -> None:
        name = declared.schedule.name
        known = self._scheduled.get(name)
        if known is not None and known.schedule.digest() != declared.schedule.digest():
            raise HandlerImportError(
                f"schedule {name!r} is declared twice with different contents: in {known.place} "
                f"and in {declared.place}. Give one of them another name"
            )
        self._scheduled[name] = declared
        self._check_payload(declared)

    def _check_payload(self, declared: DeclaredSchedule) -> None:
        """Read the payload as the handler will: a tick at night is too late to find it wrong."""
        schedule = declared.schedule
        refusal = self.refusal_of(schedule)
        if refusal is not None:
            raise HandlerImportError(
                f"schedule {schedule.name!r} in {declared.place}: the handler of "
                f"{schedule.job['type']!r} refuses its payload: {refusal}"
            )


def _check_kind(function: Callable[..., Any], declaration: Declaration, is_async: bool) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise SignatureRefused(
            "it is a generator, and a job has one result. Return a list, or tell of each part with "
            "context.progress"
        )
    if is_async and declaration.run_in is not None:
        raise SignatureRefused(
            f"run_in={declaration.run_in!r} is for plain functions. Leave it out, or write "
            "`def` instead of `async def`"
        )


def _check_import(found: Handler) -> None:
    """A process finds a handler by the name of its module, so it must stand at its top level."""
    module = sys.modules.get(found.module)
    top = [] if module is None else list(vars(module).values())
    if found.run_in == "process" and not any(value is found.function for value in top):
        raise DeclarationError(
            f"{place_of(found.function)}: @handler({found.job_type!r}, run_in='process'): a "
            "process imports its handler. Define the function at the top level of a module"
        )


def _refuse_hidden(name: str, found: set[Declaration]) -> None:
    for declaration in declared_in.get(name, ()):
        if declaration not in found:
            raise HandlerImportError(
                f"handler module {name!r}: {declaration.place}: @handler({declaration.job_type!r}) "
                "has no effect: no top-level name of the module holds the marked function. Define "
                "the function there under a name of its own, with @handler as its top decorator"
            )


def _import(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")
    if name not in sys.modules:
        declared_in.pop(name, None)
        marked_in.pop(name, None)
    try:
        return importlib.import_module(name)
    except DeclarationError as error:
        raise HandlerImportError(f"handler module {name!r}: {error}") from error
    except InvalidRequest as error:
        line = next((f.lineno for f in _frames(error) if f.name == "<module>"), "?")
        raise HandlerImportError(
            f"handler module {name!r} (line {line}): {as_in_code(error)}"
        ) from error
    except SystemExit as left:
        raise HandlerImportError(
            f"handler module {name!r} called sys.exit({left.code!r}) when it was imported. Put "
            "what is a program under `if __name__ == '__main__':`"
        ) from left
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(name) from error
        raise HandlerImportError(
            f"handler module {name!r} is not found in the current folder or where Python looks for "
            "modules. Name it as `import` would, without .py"
        ) from error
    except KeyboardInterrupt:  # Ctrl-C at the terminal, or the module itself
        _log.warning(IMPORT_INTERRUPTED, module=name)
        raise
    except BaseException as error:  # whatever else the module raises, its worker cannot start
        raise _broken(name) from error


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of the user's code, the innermost first."""
    return traceback.extract_tb(error.__traceback__)[::-1]


def _broken(name: str) -> HandlerImportError:
    return HandlerImportError(
        f"handler module {name!r} cannot be imported\n{traceback.format_exc()}"
    )
