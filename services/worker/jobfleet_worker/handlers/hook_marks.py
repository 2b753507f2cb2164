"""``@on_startup``, ``@on_shutdown``, ``@around_attempt``, ``@on_error`` and ``@provide``.

Each marks a function; a worker collects those at the top level of its handler modules.
"""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints, overload

from jobfleet_worker.handlers.declaration import DeclarationError, place_of

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["on_startup", "on_shutdown", "around_attempt", "on_error", "provide"]
_MARK = "__jobfleet_hooks__"
_ITERATORS = (AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator)


@dataclass(frozen=True, slots=True)
class HookMark:
    """One mark on one function.

    Attributes:
        place: the function as people find it: ``hooks.connect (line 12)``.
        order: for ``around_attempt``: the lowest is the outermost.
        own_module: for ``around_attempt``: only handlers of the function's module.
        types: for ``around_attempt``: only these types; empty: all.
        transactional: for ``around_attempt``: an error at its end fails the attempt.
        per: for ``provide``: how long a value lives.
    """

    kind: Kind
    place: str
    order: int = 0
    own_module: bool = False
    types: tuple[str, ...] = ()
    transactional: bool = False
    per: Literal["attempt", "worker"] = "attempt"


def on_startup(function: F) -> F:
    """Call a function before the worker takes jobs, and in each process that runs handlers.

    A coroutine function runs on the event loop, a plain one in a thread. If it raises, the worker
    does not start.

    Raises:
        DeclarationError: no function is decorated, or it has parameters.
    """
    return _mark(function, HookMark("on_startup", place_of(function)), parameters=0)


def on_shutdown(function: F) -> F:
    """Call a function after the last job, and at the end of each process that runs handlers.

    The last one declared comes first. What it raises is logged, and the others are called.

    Raises:
        DeclarationError: no function is decorated, or it has parameters.
    """
    return _mark(function, HookMark("on_shutdown", place_of(function)), parameters=0)


def on_error(function: F) -> F:
    """Call ``function(error, run)`` after an attempt that failed or ran over its limit.

    It is called in the worker's process once the failure is in the trail, so ``run.final`` is
    exact. A plain function runs in a thread. What it raises is logged.

    Raises:
        DeclarationError: no function is decorated, or it does not take two parameters.
    """
    return _mark(function, HookMark("on_error", place_of(function)), parameters=2)


@overload
def around_attempt(function: F) -> F: ...


@overload
def around_attempt(
    *,
    order: int = 0,
    scope: Literal["worker", "module"] = "worker",
    types: Sequence[str] = (),
    transactional: bool = False,
) -> Callable[[F], F]: ...


def around_attempt(
    function: F | None = None,
    *,
    order: int = 0,
    scope: Literal["worker", "module"] = "worker",
    types: Sequence[str] = (),
    transactional: bool = False,
) -> Any:
    """Run a generator function with one ``yield`` around each attempt; it takes the ``Run``.

    What the handler raises is raised at the ``yield`` too. The function may raise another error
    instead, as ``Retry``; it cannot turn a failure into a success.
    A plain one runs where the handler runs, an asynchronous one on the event loop.

    Args:
        order: a hook with a lower number is further outside; if equal, the one declared first.
        scope: ``module`` for the handlers of the function's own module only.
        types: for handlers of these types only.
        transactional: an error that it raises after the handler has returned fails the attempt.
            Without it that error is logged and the attempt is completed.

    Raises:
        DeclarationError: an option is wrong, or the function is not a generator with one parameter.
    """

    def mark(decorated: F) -> F:
        place = place_of(decorated)
        if scope not in ("worker", "module"):
            raise _refused("around_attempt", place, f"scope is {scope!r}; 'worker' or 'module'")
        if isinstance(types, str):
            raise _refused("around_attempt", place, f"types is a string. Write types=[{types!r}]")
        if not _is_generator(decorated):
            raise _refused(
                "around_attempt", place, "it has no `yield`. Write one where the handler runs"
            )
        found = HookMark(
            "around_attempt", place, order, scope == "module", tuple(types), transactional
        )
        return _mark(decorated, found, parameters=1)

    return mark if function is None else mark(function)


@overload
def provide(function: F) -> F: ...


@overload
def provide(*, per: Literal["attempt", "worker"] = "attempt") -> Callable[[F], F]: ...


def provide(function: F | None = None, *, per: Literal["attempt", "worker"] = "attempt") -> Any:
    """Make values for handlers that ask for them with a parameter's annotation.

    The function's return annotation names the type. A generator function yields one value and
    closes it after the ``yield``; other functions return it. Its parameters are provided too; one
    that is annotated as ``Run`` gets the attempt.

    Args:
        per: ``attempt`` makes a value for each attempt that asks. ``worker`` makes one for each
            process, before its first job.

    Raises:
        DeclarationError: an option is wrong, or the function has no return annotation.
    """

    def mark(decorated: F) -> F:
        place = place_of(decorated)
        if per not in ("attempt", "worker"):
            raise _refused("provide", place, f"per is {per!r}; 'attempt' or 'worker'")
        if getattr(inspect.unwrap(decorated), "__annotations__", {}).get("return") is None:
            raise _refused(
                "provide", place, "it has no return annotation. Name the type that it provides"
            )
        return _mark(decorated, HookMark("provide", place, per=per))

    return mark if function is None else mark(function)


def hook_mark_of(value: Any) -> HookMark | None:
    """Return the mark of a function; ``None`` for anything else."""
    mark = inspect.getattr_static(value, _MARK, None)
    return mark if isinstance(mark, HookMark) else None


def provided_type(function: Callable[..., Any]) -> Any:
    """Return the type that a provider's return annotation names.

    Raises:
        DeclarationError: it cannot be resolved.
    """
    hint = _hints(function)["return"]
    if _is_generator(function) and get_origin(hint) in _ITERATORS:
        return get_args(hint)[0]
    return hint


def parameter_types(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function's parameters, in their order.

    Raises:
        DeclarationError: one is missing or cannot be resolved.
    """
    hints = _hints(function)
    names = list(inspect.signature(function).parameters)
    for name in names:
        if name not in hints:
            raise _refused("provide", place_of(function), f"parameter {name!r} has no annotation")
    return {name: hints[name] for name in names}


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(function), include_extras=True)
    except Exception as error:  # an annotation may be any expression
        raise _refused(
            "provide",
            place_of(function),
            f"an annotation cannot be resolved: {error}. Import it at run time, outside of "
            "`if TYPE_CHECKING:`",
        ) from error


def _is_generator(function: Callable[..., Any]) -> bool:
    inner = inspect.unwrap(function)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def _mark(function: F, mark: HookMark, parameters: int | None = None) -> F:
    if not inspect.isfunction(function):
        raise _refused(mark.kind, mark.place, "it decorates no function")
    if parameters is not None and len(inspect.signature(function).parameters) != parameters:
        takes = ("no parameters", "one parameter: the run", "two parameters: error and run")
        raise _refused(mark.kind, mark.place, f"the function must take {takes[parameters]}")
    if hook_mark_of(function) is not None:
        raise _refused(mark.kind, mark.place, "the function has a hook's mark already")
    setattr(function, _MARK, mark)
    return function


def _refused(kind: str, place: str, reason: str) -> DeclarationError:
    return DeclarationError(f"{place}: @{kind}: {reason}")
