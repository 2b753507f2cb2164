"""The hooks that a worker's modules declare, and which of them stand around which handler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jobfleet_contracts.job import JobRequest
from jobfleet_worker.handlers.declaration import DeclarationError
from jobfleet_worker.handlers.hook_marks import (
    HookMark,
    Kind,
    hook_mark_of,
    parameter_types,
    provided_type,
)

_BUILT_IN = "jobfleet_worker.builtin."


@dataclass(slots=True, kw_only=True)
class Run:
    """One attempt, as hooks see it.

    Attributes:
        attempt: its number, from 1.
        epoch: the fencing token.
        is_last: whether the job has no attempt after this one.
        outcome: ``None`` before the handler has ended. ``stopped``: cancelled, out of time, at the
            worker's shutdown, or without its lease.
        final: whether the attempt failed and no other follows.
        result: what the handler returned.
    """

    job: JobRequest
    attempt: int
    epoch: int
    incarnation: int = 1
    is_last: bool = False
    outcome: Literal["completed", "failed", "deferred", "stopped"] | None = None
    final: bool = False
    result: Any = None


@dataclass(frozen=True, slots=True)
class Hook:
    """One marked function."""

    function: Callable[..., Any]
    mark: HookMark


@dataclass(frozen=True, slots=True)
class Provider:
    """A function that makes values of one type.

    Attributes:
        needs: the type of each of its parameters, by name.
    """

    hook: Hook
    made: Any
    needs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What stands around the calls of one handler.

    Attributes:
        around: the outermost first.
        providers: those per attempt, in the order in which they open.
        arguments: the provided type of each parameter that gets a value, by name.
    """

    around: tuple[Hook, ...] = ()
    providers: tuple[Provider, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)


NO_PLAN = CallPlan()


class Hooks:
    """All hooks of one worker, in the order of its modules and of their lines."""

    def __init__(self, functions: Iterable[Callable[..., Any]] = ()) -> None:
        """Collect marked functions; one that comes twice counts once.

        Raises:
            DeclarationError: a provider cannot be used as it is declared.
        """
        unique = {id(each): each for each in functions}.values()
        self._hooks = [Hook(each, mark) for each in unique if (mark := hook_mark_of(each))]
        self._providers: dict[Any, Provider] = {}
        for each in self.of_kind("provide"):
            self._add_provider(each)
        for provider in self._providers.values():
            self._check(provider, ())

    @property
    def functions(self) -> list[Callable[..., Any]]:
        """Every marked function."""
        return [each.function for each in self._hooks]

    @property
    def modules(self) -> tuple[str, ...]:
        """Where a process for handlers imports the hooks from."""
        return tuple(dict.fromkeys(each.function.__module__ for each in self._hooks))

    @property
    def provided_types(self) -> Mapping[Any, Provider]:
        """The provider of each type."""
        return self._providers

    def of_kind(self, kind: Kind) -> list[Hook]:
        """Return the hooks of one kind, in their order."""
        return [each for each in self._hooks if each.mark.kind == kind]

    def plan(
        self, function: Callable[..., Any], types: Sequence[str], arguments: Mapping[str, Any]
    ) -> CallPlan:
        """Return what stands around a handler.

        Args:
            types: the types that it runs.
            arguments: the provided type of each of its parameters that gets a value.
        """
        around: list[Hook] = []
        if not function.__module__.startswith(_BUILT_IN):
            around = [
                each for each in self.of_kind("around_attempt") if _is_for(each, function, types)
            ]
        return CallPlan(
            around=tuple(sorted(around, key=lambda each: each.mark.order)),
            providers=tuple(self.opened_for(arguments.values(), "attempt")),
            arguments=arguments,
        )

    def opened_for(
        self, wanted: Iterable[Any], per: Literal["attempt", "worker"]
    ) -> list[Provider]:
        """Return the providers of these types and of what they need, each after what it needs."""
        found: dict[Any, Provider] = {}

        def add(made: Any) -> None:
            provider = self._providers.get(made)
            if provider is None or made in found:
                return
            for needed in provider.needs.values():
                add(needed)
            found[made] = provider

        for each in wanted:
            add(each)
        return [each for each in found.values() if each.hook.mark.per == per]

    def _add_provider(self, hook: Hook) -> None:
        made = provided_type(hook.function)
        known = self._providers.get(made)
        if known is not None:
            raise DeclarationError(
                f"{hook.mark.place}: @provide: {known.hook.mark.place} provides {_named(made)} "
                "too. Remove one, or give one of them a type of its own"
            )
        self._providers[made] = Provider(hook, made, parameter_types(hook.function))

    def _check(self, provider: Provider, above: tuple[Any, ...]) -> None:
        mark = provider.hook.mark
        if provider.made in above:
            raise DeclarationError(
                f"{mark.place}: @provide: {_named(provider.made)} needs itself. "
                "Remove one of the parameters between them"
            )
        for name, needed in provider.needs.items():
            if needed is Run and mark.per == "attempt":
                continue
            other = self._providers.get(needed)
            if other is None:
                raise DeclarationError(
                    f"{mark.place}: @provide: nothing provides {_named(needed)} for parameter "
                    f"{name!r}. Mark a function that returns it with @provide"
                )
            if mark.per == "worker" and other.hook.mark.per == "attempt":
                raise DeclarationError(
                    f"{mark.place}: @provide(per='worker'): parameter {name!r} lives for one "
                    "attempt only. Provide it per worker too"
                )
            self._check(other, (*above, provider.made))


NO_HOOKS = Hooks()


def _is_for(hook: Hook, function: Callable[..., Any], types: Sequence[str]) -> bool:
    mark = hook.mark
    if mark.own_module and hook.function.__module__ != function.__module__:
        return False
    return not mark.types or not set(mark.types).isdisjoint(types)


def _named(made: Any) -> str:
    return getattr(made, "__qualname__", None) or str(made)
