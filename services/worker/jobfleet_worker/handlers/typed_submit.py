"""What ``@handler`` adds to a function: submits that know its payload and its result.

The classes here describe the decorated function to type checkers. At run time it stays the function
that it is, with the methods of :class:`Submits` as attributes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable
from functools import cached_property
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    get_type_hints,
    overload,
)

from pydantic import TypeAdapter

from jobfleet_contracts.errors import InvalidRequest, JobfleetError
from jobfleet_worker.handlers.context import ContextFacts
from jobfleet_worker.handlers.signature import Signature, first_parameter_signature
from jobfleet_worker.handlers.verdicts import Fail

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest
    from jobfleet_publisher.group import Group
    from jobfleet_publisher.publisher import Publisher
    from jobfleet_publisher.submit_options import JobOptions, SubmitOptions
    from jobfleet_publisher.sync import Group as SyncGroup
    from jobfleet_publisher.sync import Publisher as SyncPublisher
    from jobfleet_publisher.then import Then, ThenOptions
    from jobfleet_publisher.typed_job import SyncTypedJob, TypedJob
    from jobfleet_worker.handlers.declaration import Declaration

Params = ParamSpec("Params")
Payload_contra = TypeVar("Payload_contra", contravariant=True)
Result = TypeVar("Result")
Returned_co = TypeVar("Returned_co", covariant=True)
Context = TypeVar("Context", bound=ContextFacts)


class Submits:
    """Submits jobs of one handler; each call needs a started publisher.

    Lock key, queue, attempts and time limit come from the decorator where a call does not say.
    """

    def __init__(self, declaration: Declaration, function: Callable[..., Any]) -> None:
        self._declaration = declaration
        self._function = function

    async def submit(
        self,
        payload: Any = None,
        *,
        publisher: Publisher | None = None,
        **options: Unpack[SubmitOptions],
    ) -> TypedJob[Any]:
        """Submit one job of this handler; returns when its first event is in the trail.

        Args:
            payload: what the handler's annotation says.
            publisher: the one that was started last on this event loop if none is given.
            options: as in :meth:`jobfleet_publisher.Publisher.submit`.

        Raises:
            InvalidRequest: the payload or an option does not fit; ``field`` names it.
            RuntimeError: no publisher is started.
            BodyConflict: the job id or idempotency key was used before with another body.
            BackendUnavailable: the trail did not answer. The job may have been accepted: repeat
                with the same job id or idempotency key.
        """
        from jobfleet_publisher.current import current_publisher
        from jobfleet_publisher.typed_job import TypedJob

        chosen = publisher or current_publisher()
        job = await chosen.submit(
            self._declaration.job_type, self._checked(payload), **self._completed(options, payload)
        )
        return TypedJob(job, self._read)

    def submit_sync(
        self,
        payload: Any = None,
        *,
        publisher: SyncPublisher | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncTypedJob[Any]:
        """Like :meth:`submit`, for code without an event loop.

        Without a started publisher it opens one that the whole process shares until its end.
        """
        from jobfleet_publisher.current import current_sync_publisher
        from jobfleet_publisher.typed_job import SyncTypedJob

        chosen = publisher or current_sync_publisher()
        job = chosen.submit(
            self._declaration.job_type, self._checked(payload), **self._completed(options, payload)
        )
        return SyncTypedJob(job, self._read)

    async def submit_many(
        self,
        payloads: Iterable[Any],
        *,
        publisher: Publisher | None = None,
        **options: Unpack[JobOptions],
    ) -> list[TypedJob[Any] | JobfleetError]:
        """Submit a job for each payload, in few round trips.

        Returns:
            In the order of the payloads a job, or the error that its submit raised.

        Raises:
            InvalidRequest: one of the payloads or an option does not fit; nothing is submitted.
        """
        from jobfleet_publisher.current import current_publisher
        from jobfleet_publisher.typed_job import TypedJob

        chosen = publisher or current_publisher()
        requests: list[JobRequest] = [
            await chosen.request(self._declaration.job_type, each, **checked)
            for each, checked in self._all_checked(payloads, options)
        ]
        answers = await chosen.submit_many(requests)
        return [a if isinstance(a, JobfleetError) else TypedJob(a, self._read) for a in answers]

    def submit_many_sync(
        self,
        payloads: Iterable[Any],
        *,
        publisher: SyncPublisher | None = None,
        **options: Unpack[JobOptions],
    ) -> list[SyncTypedJob[Any] | JobfleetError]:
        """Like :meth:`submit_many`, for code without an event loop."""
        from jobfleet_publisher.current import current_sync_publisher
        from jobfleet_publisher.typed_job import SyncTypedJob

        chosen = publisher or current_sync_publisher()
        requests: list[JobRequest] = [
            chosen.request(self._declaration.job_type, each, **checked)
            for each, checked in self._all_checked(payloads, options)
        ]
        answers = chosen.submit_many(requests)
        return [a if isinstance(a, JobfleetError) else SyncTypedJob(a, self._read) for a in answers]

    async def submit_to(
        self, group: Group, payload: Any = None, **options: Unpack[JobOptions]
    ) -> TypedJob[Any]:
        """Submit the next member of an open group.

        Raises:
            InvalidRequest: the payload or an option does not fit; ``field`` names it.
            ActionRefused, BackendUnavailable: as :meth:`jobfleet_publisher.Group.submit`.
        """
        from jobfleet_publisher.typed_job import TypedJob

        checked = self._checked(payload)
        completed = self._completed(options, payload)
        job = await group.submit(self._declaration.job_type, checked, **completed)
        return TypedJob(job, self._read)

    def submit_to_sync(
        self, group: SyncGroup, payload: Any = None, **options: Unpack[JobOptions]
    ) -> SyncTypedJob[Any]:
        """Like :meth:`submit_to`, for code without an event loop."""
        from jobfleet_publisher.typed_job import SyncTypedJob

        checked = self._checked(payload)
        completed = self._completed(options, payload)
        job = group.submit(self._declaration.job_type, checked, **completed)
        return SyncTypedJob(job, self._read)

    def then(self, payload: Any = None, **options: Unpack[ThenOptions]) -> Then:
        """Return a job of this handler for the ``then`` of another one.

        Args:
            payload: what the handler's annotation says; it is checked here, unless ``results``
                fill a part of it.
            options: as in :class:`jobfleet_publisher.Then`.

        Raises:
            InvalidRequest: the payload does not fit.
        """
        from jobfleet_publisher.plain_payload import plain_payload
        from jobfleet_publisher.then import Then

        plain = plain_payload(payload) if options.get("results") else self._checked(payload)
        step: dict[str, Any] = self._declaration.step_options() | options
        return Then(type=self._declaration.job_type, payload=plain, **step)

    def _all_checked(
        self, payloads: Iterable[Any], options: JobOptions
    ) -> list[tuple[Any, dict[str, Any]]]:
        found = []
        for number, each in enumerate(payloads):
            try:
                found.append((self._checked(each), self._completed(options, each)))
            except InvalidRequest as error:
                raise InvalidRequest(f"job {number}: {error}", field=error.field) from error
        return found

    def _checked(self, payload: Any) -> Any:
        """Return the payload as JSON that the handler will accept."""
        from jobfleet_publisher.plain_payload import plain_payload

        plain = plain_payload(payload)
        try:
            self._signature.read_payload(plain)
        except Fail as refused:
            raise InvalidRequest(str(refused), field="payload") from refused
        return plain

    def _completed(self, options: Any, payload: Any) -> dict[str, Any]:
        """Return the options of a call, and what the decorator says where the call does not."""
        from jobfleet_publisher.plain_payload import plain_payload

        fields = {name: value for name, value in options.items() if value is not None}
        read = self._signature.read_payload(plain_payload(payload))
        return self._declaration.job_options(read) | fields

    @cached_property
    def _signature(self) -> Signature:
        return first_parameter_signature(self._function)

    @cached_property
    def _read(self) -> Callable[[Any], Any]:
        """Make of a result in JSON what the handler is annotated to return."""
        try:
            returned = get_type_hints(inspect.unwrap(self._function), include_extras=True)["return"]
            return TypeAdapter(returned).validate_python
        except Exception:  # noqa: BLE001 - no annotation, or none that pydantic knows: plain JSON
            return lambda result: result


_METHODS = (
    "submit",
    "submit_sync",
    "submit_many",
    "submit_many_sync",
    "submit_to",
    "submit_to_sync",
    "then",
)


def add_submits(function: Callable[..., Any], declaration: Declaration) -> None:
    """Give a function the submits of its declaration; if there are several, the topmost counts."""
    submits = Submits(declaration, function)
    for name in _METHODS:
        setattr(function, name, getattr(submits, name))


class TypedHandler(Protocol[Params, Returned_co, Payload_contra, Result]):
    """A decorated function that takes a payload, as type checkers see it."""

    def __call__(self, *values: Params.args, **named: Params.kwargs) -> Returned_co:
        """Call the function itself, as without the decorator."""

    async def submit(
        self,
        payload: Payload_contra,
        *,
        publisher: Publisher | None = None,
        **options: Unpack[SubmitOptions],
    ) -> TypedJob[Result]:
        """See :meth:`Submits.submit`."""

    def submit_sync(
        self,
        payload: Payload_contra,
        *,
        publisher: SyncPublisher | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncTypedJob[Result]:
        """See :meth:`Submits.submit_sync`."""

    async def submit_many(
        self,
        payloads: Iterable[Payload_contra],
        *,
        publisher: Publisher | None = None,
        **options: Unpack[JobOptions],
    ) -> list[TypedJob[Result] | JobfleetError]:
        """See :meth:`Submits.submit_many`."""

    def submit_many_sync(
        self,
        payloads: Iterable[Payload_contra],
        *,
        publisher: SyncPublisher | None = None,
        **options: Unpack[JobOptions],
    ) -> list[SyncTypedJob[Result] | JobfleetError]:
        """See :meth:`Submits.submit_many_sync`."""

    async def submit_to(
        self, group: Group, payload: Payload_contra, **options: Unpack[JobOptions]
    ) -> TypedJob[Result]:
        """See :meth:`Submits.submit_to`."""

    def submit_to_sync(
        self, group: SyncGroup, payload: Payload_contra, **options: Unpack[JobOptions]
    ) -> SyncTypedJob[Result]:
        """See :meth:`Submits.submit_to_sync`."""

    def then(self, payload: Any = None, **options: Unpack[ThenOptions]) -> Then:
        """See :meth:`Submits.then`."""


class TypedHandlerWithoutPayload(Protocol[Params, Returned_co, Result]):
    """A decorated function that takes no payload or any, as type checkers see it.

    They cannot tell `payload: Any` from a context, so a payload may be given.
    """

    def __call__(self, *values: Params.args, **named: Params.kwargs) -> Returned_co:
        """Call the function itself, as without the decorator."""

    async def submit(
        self,
        payload: Any = None,
        *,
        publisher: Publisher | None = None,
        **options: Unpack[SubmitOptions],
    ) -> TypedJob[Result]:
        """See :meth:`Submits.submit`."""

    def submit_sync(
        self,
        payload: Any = None,
        *,
        publisher: SyncPublisher | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncTypedJob[Result]:
        """See :meth:`Submits.submit_sync`."""

    async def submit_many(
        self,
        payloads: Iterable[Any],
        *,
        publisher: Publisher | None = None,
        **options: Unpack[JobOptions],
    ) -> list[TypedJob[Result] | JobfleetError]:
        """See :meth:`Submits.submit_many`."""

    def submit_many_sync(
        self,
        payloads: Iterable[Any],
        *,
        publisher: SyncPublisher | None = None,
        **options: Unpack[JobOptions],
    ) -> list[SyncTypedJob[Result] | JobfleetError]:
        """See :meth:`Submits.submit_many_sync`."""

    async def submit_to(
        self, group: Group, payload: Any = None, **options: Unpack[JobOptions]
    ) -> TypedJob[Result]:
        """See :meth:`Submits.submit_to`."""

    def submit_to_sync(
        self, group: SyncGroup, payload: Any = None, **options: Unpack[JobOptions]
    ) -> SyncTypedJob[Result]:
        """See :meth:`Submits.submit_to_sync`."""

    def then(self, payload: Any = None, **options: Unpack[ThenOptions]) -> Then:
        """See :meth:`Submits.then`."""


class HandlerMark(Protocol):
    """What ``@handler(…)`` does to each kind of function, for type checkers."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, Params], Coroutine[Any, Any, Result]]
    ) -> TypedHandlerWithoutPayload[
        Concatenate[Context, Params], Coroutine[Any, Any, Result], Result
    ]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, Params], Result]
    ) -> TypedHandlerWithoutPayload[Concatenate[Context, Params], Result, Result]: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[Payload_contra, Params], Coroutine[Any, Any, Result]]
    ) -> TypedHandler[
        Concatenate[Payload_contra, Params], Coroutine[Any, Any, Result], Payload_contra, Result
    ]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[Payload_contra, Params], Result]
    ) -> TypedHandler[Concatenate[Payload_contra, Params], Result, Payload_contra, Result]: ...

    @overload
    def __call__(
        self, function: Callable[Params, Coroutine[Any, Any, Result]]
    ) -> TypedHandlerWithoutPayload[Params, Coroutine[Any, Any, Result], Result]: ...

    @overload
    def __call__(
        self, function: Callable[Params, Result]
    ) -> TypedHandlerWithoutPayload[Params, Result, Result]: ...
