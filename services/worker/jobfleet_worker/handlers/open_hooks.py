"""Runs the hooks of one process: at its start and end, around attempts, and after failures."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import (
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from types import TracebackType
from typing import Any, TypeVar

import structlog

from jobfleet_contracts.errors import JobfleetError
from jobfleet_worker.handlers.hook_marks import HookMark
from jobfleet_worker.handlers.hooks import CallPlan, Hook, Hooks, Provider, Run
from jobfleet_worker.handlers.user_thread import in_user_thread

HOOK_FAILED = "hook.failed"
HOOK_THREAD = "hook"
SHUTDOWN_SECONDS = 10.0
"""For one hook at the end of the process: one that hangs keeps no worker alive."""
ERROR_SECONDS = 30.0
"""For one ``on_error``: it holds the slot of its job."""

T = TypeVar("T")
Judge = Callable[[Run, BaseException], None]

_log = structlog.get_logger()


class HookFailed(JobfleetError):
    """A hook raised when the worker started; the message names it and what it raised."""


class OpenHooks:
    """The hooks of this process, and the values that it provides for as long as it lives."""

    def __init__(self, hooks: Hooks, wanted: Iterable[Any] = ()) -> None:
        """Use the hooks of a worker.

        Args:
            wanted: the provided types that handlers of this process ask for.
        """
        self._hooks = hooks
        self._per_process = hooks.opened_for(wanted, "worker")
        self._values: dict[Any, Any] = {}
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Call what is due before the first job.

        Raises:
            HookFailed: one of them raised; what was opened before is closed.
        """
        for hook in self._hooks.of_kind("on_startup"):
            await _at_start(hook.mark, _called(hook.function))
        for provider in self._per_process:
            await self._open(provider)
        for hook in self._hooks.of_kind("on_shutdown"):
            self._stack.push_async_callback(_at_end, hook.mark, hook.function)

    async def stop(self) -> None:
        """Call what is due after the last job, the last declared first; errors are logged."""
        await self._stack.aclose()

    @asynccontextmanager
    async def around(self, plan: CallPlan, run: Run, judge: Judge) -> AsyncIterator[None]:
        """Run the block between the hooks of a handler; for a coroutine function."""
        async with AsyncExitStack() as stack:
            for hook in plan.around:
                await stack.enter_async_context(
                    _Guarded(hook.mark, _manager(hook, run), run, judge)
                )
            yield

    @asynccontextmanager
    async def values(self, plan: CallPlan, run: Run) -> AsyncIterator[dict[str, Any]]:
        """Open what a handler asks for, by the names of its parameters."""
        async with AsyncExitStack() as stack:
            found = self._known(run)
            for each in plan.providers:
                manager = _manager(each.hook, **_needed(each, found))
                found[each.made] = await stack.enter_async_context(
                    _Guarded(each.hook.mark, manager)
                )
            yield {name: found[made] for name, made in plan.arguments.items()}

    @contextmanager
    def around_blocking(
        self, plan: CallPlan, run: Run, judge: Judge, loop: asyncio.AbstractEventLoop
    ) -> Iterator[None]:
        """Like :meth:`around`, for a plain function; asynchronous hooks run on ``loop``."""
        with ExitStack() as stack:
            for hook in plan.around:
                manager = _blocking(_manager(hook, run), loop)
                stack.enter_context(_Guarded(hook.mark, manager, run, judge))
            yield

    @contextmanager
    def values_blocking(
        self, plan: CallPlan, run: Run, loop: asyncio.AbstractEventLoop
    ) -> Iterator[dict[str, Any]]:
        """Like :meth:`values`, for a plain function; asynchronous providers run on ``loop``."""
        with ExitStack() as stack:
            found = self._known(run)
            for each in plan.providers:
                manager = _blocking(_manager(each.hook, **_needed(each, found)), loop)
                found[each.made] = stack.enter_context(_Guarded(each.hook.mark, manager))
            yield {name: found[made] for name, made in plan.arguments.items()}

    async def report(self, error: BaseException, run: Run) -> None:
        """Call ``on_error`` hooks; what they raise is logged."""
        for hook in self._hooks.of_kind("on_error"):
            try:
                async with asyncio.timeout(ERROR_SECONDS):
                    await _called(hook.function, error, run)
            except asyncio.CancelledError:
                raise
            except BaseException:  # noqa: BLE001 - a hook of the user's changes no outcome
                _log.exception(HOOK_FAILED, hook=hook.mark.place)

    @property
    def modules(self) -> tuple[str, ...]:
        """Where a process of a handler's own imports the hooks from."""
        return self._hooks.modules

    @property
    def reports(self) -> bool:
        """Whether a hook wants to hear of failures."""
        return bool(self._hooks.of_kind("on_error"))

    async def _open(self, provider: Provider) -> None:
        mark = provider.hook.mark
        manager = _manager(provider.hook, **_needed(provider, self._values))
        opened = manager if _is_async(manager) else _InThread(manager)
        self._values[provider.made] = await _at_start(mark, opened.__aenter__())
        self._stack.push_async_callback(_at_end, mark, opened.__aexit__, None, None, None)

    def _known(self, run: Run) -> dict[Any, Any]:
        return self._values | {Run: run}


async def started(hooks: OpenHooks) -> OpenHooks:
    """Start hooks; if one fails, close what was opened and raise its error."""
    try:
        await hooks.start()
    except BaseException as error:
        if isinstance(error, HookFailed):
            _log.error(HOOK_FAILED, exc_info=error.__cause__)
        await hooks.stop()
        raise
    return hooks


class _Guarded:
    """A hook's manager that can end a success, but never a failure.

    Args:
        run: for ``around_attempt``; ``judge`` notes in it how the attempt ends.
    """

    def __init__(
        self, mark: HookMark, manager: Any, run: Run | None = None, judge: Judge | None = None
    ) -> None:
        self._mark = mark
        self._manager = manager
        self._run = run
        self._judge = judge

    def __enter__(self) -> Any:
        return self._manager.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._ending(error):
            self._manager.__exit__(kind, error, trace)

    async def __aenter__(self) -> Any:
        if _is_async(self._manager):
            return await self._manager.__aenter__()
        return self._manager.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._ending(error):
            if _is_async(self._manager):
                await self._manager.__aexit__(kind, error, trace)
            else:
                self._manager.__exit__(kind, error, trace)

    @contextmanager
    def _ending(self, error: BaseException | None) -> Iterator[None]:
        """Note the attempt's error, then let the hook end; log what only the hook's end raises.

        Args:
            error: with which the attempt ended; what the hook makes of it goes on.
        """
        if self._run is not None and self._judge is not None and error is not None:
            self._judge(self._run, error)
        try:
            yield
        except asyncio.CancelledError:
            raise
        except BaseException as own:
            if error is not None or self._counts:
                raise
            _log.error(HOOK_FAILED, hook=self._mark.place, exc_info=own)

    @property
    def _counts(self) -> bool:
        """Whether an error of the hook fails an attempt whose handler has returned."""
        return self._mark.kind == "provide" or self._mark.transactional


class _OnLoop:
    """An asynchronous manager, used from another thread than its loop's."""

    def __init__(self, manager: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._manager = manager
        self._loop = loop

    def __enter__(self) -> Any:
        return self._call(self._manager.__aenter__())

    def __exit__(self, *raised: object) -> None:
        self._call(self._manager.__aexit__(*raised))

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        made, error = asyncio.run_coroutine_threadsafe(_tried(work), self._loop).result()
        if error is not None:
            raise error
        return made


async def _tried(work: Coroutine[Any, Any, T]) -> tuple[T | None, BaseException | None]:
    """Return a result or an error: ``SystemExit`` of a task would end the loop that runs it."""
    try:
        return await work, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for it
        return None, error


class _InThread:
    """A blocking manager, used from an event loop that it must not hold up."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return await in_user_thread(self._manager.__enter__, name=HOOK_THREAD)

    async def __aexit__(self, *raised: object) -> None:
        await in_user_thread(self._manager.__exit__, *raised, name=HOOK_THREAD)


class _Awaited:
    """The value of a coroutine function, which has nothing to close."""

    def __init__(self, value: Any) -> None:
        self._value = value

    async def __aenter__(self) -> Any:
        return await self._value

    async def __aexit__(self, *_raised: object) -> None:
        """Nothing is open."""


def _manager(hook: Hook, *values: Any, **named: Any) -> Any:
    """Call a hook and return a context manager of what it makes."""
    made = hook.function(*values, **named)
    if inspect.isgenerator(made):
        return contextmanager(lambda: made)()
    if inspect.isasyncgen(made):
        return asynccontextmanager(lambda: made)()
    if inspect.isawaitable(made):
        return _Awaited(made)
    # Of `contextlib.contextmanager`: the marked function makes a manager by itself.
    is_manager = inspect.unwrap(hook.function) is not hook.function and (
        hasattr(made, "__enter__") or _is_async(made)
    )
    return made if is_manager else nullcontext(made)


def _blocking(manager: Any, loop: asyncio.AbstractEventLoop) -> Any:
    return _OnLoop(manager, loop) if _is_async(manager) else manager


def _is_async(manager: Any) -> bool:
    return hasattr(manager, "__aenter__") and not hasattr(manager, "__enter__")


def _needed(provider: Provider, found: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: found[made] for name, made in provider.needs.items()}


async def _called(function: Callable[..., Any], *values: Any) -> Any:
    if inspect.iscoroutinefunction(inspect.unwrap(function)):
        return await function(*values)
    return await in_user_thread(function, *values, name=HOOK_THREAD)


async def _at_start(mark: HookMark, call: Coroutine[Any, Any, T]) -> T:
    try:
        return await call
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        message = f"{mark.place}: @{mark.kind} raised {type(error).__name__}: {error}"
        raise HookFailed(message) from error


async def _at_end(mark: HookMark, function: Callable[..., Any], *values: Any) -> None:
    try:
        async with asyncio.timeout(SHUTDOWN_SECONDS):
            await _called(function, *values)
    except asyncio.CancelledError:
        raise
    except BaseException:  # noqa: BLE001 - the others are still to be called
        _log.exception(HOOK_FAILED, hook=mark.place)
