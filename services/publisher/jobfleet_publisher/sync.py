"""The publisher for code without an event loop: scripts, Django and Flask views, threads."""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast
from weakref import WeakSet

from jobfleet_contracts.errors import InvalidRequest, JobfleetError
from jobfleet_contracts.state import State
from jobfleet_publisher import current
from jobfleet_publisher.group import Group as AsyncGroup
from jobfleet_publisher.job_details import JobDetails
from jobfleet_publisher.job_result import JobResult
from jobfleet_publisher.publisher import Publisher as AsyncPublisher
from jobfleet_publisher.publisher import TransactionPart
from jobfleet_publisher.submit_options import GroupOptions, JobOptions, SubmitOptions
from jobfleet_publisher.submitted_job import SubmittedJob as AsyncSubmittedJob

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

T = TypeVar("T")
ASYNC_CONNECTION = (
    "connection: it must be awaited, which this publisher cannot; give a blocking one, or use "
    "jobfleet_publisher.Publisher"
)
NOT_STARTED = "the publisher is not started; use it in a with block or start() it"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """An open publisher, and the event loop that it belongs to."""

    loop: asyncio.AbstractEventLoop
    selector: selectors.BaseSelector
    thread: threading.Thread
    stack: AsyncExitStack
    publisher: AsyncPublisher


class Publisher:
    """Same as :class:`jobfleet_publisher.Publisher`, blocking; one may serve many threads.

    It runs an event loop in a thread of its own between ``start`` and ``stop``, or inside a
    ``with`` block. In a forked child, which has no such thread, the next call opens the backend
    anew; the parent's connections stay the parent's.
    """

    def __init__(self, **flags: Any) -> None:
        """Read the environment at the start.

        Args:
            flags: settings that stand above the environment, as ``data_dir="/var/jobs"``.
        """
        self._flags = flags
        self._guard = threading.Lock()
        self._started = False
        self._running: _Running | None = None
        _publishers.add(self)

    @classmethod
    def from_env(cls, **flags: Any) -> Publisher:
        """Return a publisher on the backend that the environment names, for ``with``."""
        return cls(**flags)

    def start(self) -> None:
        """Open the backend; a publisher that is started already stays as it is. Thread-safe.

        Raises:
            SettingsError: a variable is unknown or has a bad value; the message names it.
        """
        with self._guard:
            if self._running is None:
                self._running = self._open()
                self._started = True
        current.began_sync(self)

    def stop(self) -> None:
        """Close the backend and end the thread; safe to call twice, and from any thread."""
        current.ended_sync(self)
        with self._guard:
            self._started = False  # first: who finds no running one does not open it anew
            running, self._running = self._running, None
        if running is None:
            return
        try:
            _call(running.loop, running.stack.aclose())
        finally:
            _end(running.loop, running.thread)

    def init_app(self, app: Any) -> None:
        """Start with the first request of a Flask application, once in each process."""
        app.extensions["jobfleet"] = self
        app.before_request(self.start)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def submit(
        self,
        type: str,  # noqa: A002 - the field's published name
        payload: Any = None,
        **options: Unpack[SubmitOptions],
    ) -> SubmittedJob:
        """Submit one job; options and errors as in :meth:`jobfleet_publisher.Publisher.submit`.

        A ``connection`` is one that blocks: of psycopg, SQLAlchemy or Django. It is used in the
        calling thread only.
        """
        connection = options.pop("connection", None)
        if connection is not None:
            return self._submit_in(connection, type, payload, options)
        return SubmittedJob(self, self._run(lambda open_: open_.submit(type, payload, **options)))

    def _submit_in(
        self, connection: Any, type_: str, payload: Any, options: SubmitOptions
    ) -> SubmittedJob:
        key, notify = options.pop("idempotency_key", None), options.pop("notify", False)

        async def prepared(open_: AsyncPublisher) -> TransactionPart:
            request = await open_.request(type_, payload, **cast("JobOptions", options))
            return await open_.transaction_part(request, idempotency_key=key, notify=notify)

        part = self._run(prepared)
        if part.transactions.is_async(connection):
            raise InvalidRequest(ASYNC_CONNECTION, field="connection")
        written = part.transactions.write(connection, part.opening, part.fleet)
        return SubmittedJob(self, self._run(lambda open_: open_.submitted_in(part, written)))

    def submit_many(
        self, requests: Sequence[JobRequest | Mapping[str, Any]], *, by: str | None = None
    ) -> list[SubmittedJob | JobfleetError]:
        """Submit many jobs at once; see :meth:`jobfleet_publisher.Publisher.submit_many`."""
        answers = self._run(lambda open_: open_.submit_many(requests, by=by))
        return [a if isinstance(a, JobfleetError) else SubmittedJob(self, a) for a in answers]

    def request(
        self,
        type: str,  # noqa: A002 - the field's published name
        payload: Any = None,
        *,
        job_id: str | None = None,
        **options: Unpack[JobOptions],
    ) -> JobRequest:
        """Return a checked request; see :meth:`jobfleet_publisher.Publisher.request`."""
        return self._run(lambda open_: open_.request(type, payload, job_id=job_id, **options))

    @contextmanager
    def group(
        self,
        name: str,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[GroupOptions],
    ) -> Iterator[Group]:
        """Open a group of jobs; see :meth:`jobfleet_publisher.Publisher.group`."""
        opened = self._run(
            lambda open_: open_.open_group(name, idempotency_key=idempotency_key, **options)
        )
        group = Group(self, opened)
        yield group
        group.seal()

    def find(self, job_id: str) -> JobDetails | None:
        """Return where a job stands, by its id; ``None`` if there is no such job."""
        return self._run(lambda open_: open_.find(job_id))

    def find_request(self, job_id: str) -> JobRequest | None:
        """Return what a job was submitted with; ``None`` if there is no such job."""
        return self._run(lambda open_: open_.find_request(job_id))

    def job(self, job_id: str) -> SubmittedJob:
        """Return a job that was submitted before; see :meth:`jobfleet_publisher.Publisher.job`."""
        return SubmittedJob(self, self._run(lambda open_: open_.job(job_id)))

    def _run(self, ask: Callable[[AsyncPublisher], Coroutine[Any, Any, T]]) -> T:
        running = self._running
        if running is None:
            if not self._started:
                raise RuntimeError(NOT_STARTED)
            self.start()  # this process is a fork
            return self._run(ask)
        return _call(running.loop, ask(running.publisher))

    def _open(self) -> _Running:
        selector = selectors.DefaultSelector()
        loop = asyncio.SelectorEventLoop(selector)
        thread = threading.Thread(target=loop.run_forever, name="jobfleet-publisher", daemon=True)
        thread.start()
        stack = AsyncExitStack()
        try:
            opened = _call(loop, stack.enter_async_context(AsyncPublisher.from_env(**self._flags)))
        except BaseException:  # Ctrl-C too: the thread would outlive it
            _end(loop, thread)
            raise
        return _Running(loop=loop, selector=selector, thread=thread, stack=stack, publisher=opened)

    def _leave_to_parent(self) -> None:
        """Forget, in a forked child, what belongs to the parent; never close it."""
        self._guard = threading.Lock()  # a thread that is not here may have held the old one
        running, self._running = self._running, None
        if running is not None:
            _unshare(running.selector)
            _of_parents.append(running)


def current_publisher() -> Publisher:
    """Return the blocking publisher that was started last; in a handler that of its worker.

    Without a started one it opens one that the process shares until its end.

    Raises:
        SettingsError: none is started, and the environment has a bad value.
    """
    return current.current_sync_publisher()


class LoopPublisher(Publisher):
    """A blocking view of a publisher that an event loop of this process runs already.

    A worker's handlers in threads submit through it.
    """

    def __init__(self, publisher: AsyncPublisher, loop: asyncio.AbstractEventLoop) -> None:
        """Use a started publisher, whose owner stops it."""
        super().__init__()
        self._publisher = publisher
        self._loop = loop

    def start(self) -> None:
        """Make it the one that handlers' ``submit_sync`` uses."""
        current.began_sync(self)

    def stop(self) -> None:
        """Let it be used no more."""
        current.ended_sync(self)

    def _run(self, ask: Callable[[AsyncPublisher], Coroutine[Any, Any, T]]) -> T:
        if _runs_here(self._loop):
            raise RuntimeError(
                "a blocking submit on the worker's event loop would wait for itself. In a "
                "coroutine function write `await handler.submit(…)`"
            )
        return _call(self._loop, ask(self._publisher))


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class Group:
    """Same as :class:`jobfleet_publisher.Group`, blocking."""

    def __init__(self, publisher: Publisher, group: AsyncGroup) -> None:
        """See :meth:`Publisher.group`, which opens it."""
        self._publisher = publisher
        self._group = group
        self.group_id = group.group_id

    def submit(
        self,
        type: str,  # noqa: A002 - the field's published name
        payload: Any = None,
        **options: Unpack[JobOptions],
    ) -> SubmittedJob:
        """Submit the next member; see :meth:`jobfleet_publisher.Group.submit`."""
        job = self._publisher._run(lambda _: self._group.submit(type, payload, **options))
        return SubmittedJob(self._publisher, job)

    @contextmanager
    def group(
        self,
        name: str,
        **options: Unpack[GroupOptions],
    ) -> Iterator[Group]:
        """Open a group as the next member; see :meth:`jobfleet_publisher.Group.group`."""
        opened = self._publisher._run(lambda _: self._group.open_group(name, **options))
        inner = Group(self._publisher, opened)
        yield inner
        inner.seal()

    def seal(self) -> State:
        """Say that no more members come; see :meth:`jobfleet_publisher.Group.seal`."""
        return self._publisher._run(lambda _: self._group.seal())

    def job(self) -> SubmittedJob:
        """Return the job that waits for the members, to wait for it in turn."""
        return self._publisher.job(self.group_id)


_publishers: WeakSet[Publisher] = WeakSet()
_of_parents: list[_Running] = []
"""Kept for ever: to collect one would close connections that the parent process uses."""


def _call(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:  # Ctrl-C too: no caller waits for the answer any more
        future.cancel()
        raise


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    _call(loop, _cancel_calls())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _cancel_calls() -> None:
    """Cancel what other threads still wait for: on a stopped loop they would wait for ever."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _unshare(selector: selectors.BaseSelector) -> None:
    """Put an empty epoll in the place of the one that a forked child shares with its parent.

    What the child removes from a shared one at its end, the parent's loop would never hear of.
    """
    if sys.platform == "linux" and isinstance(selector, selectors.EpollSelector):
        fresh = select.epoll()
        os.dup2(fresh.fileno(), selector.fileno(), inheritable=False)
        fresh.close()


def _after_fork() -> None:
    for publisher in list(_publishers):
        publisher._leave_to_parent()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)


class SubmittedJob:
    """Same as :class:`jobfleet_publisher.SubmittedJob`, blocking."""

    def __init__(self, publisher: Publisher, job: AsyncSubmittedJob) -> None:
        """Made by the publisher."""
        self._publisher = publisher
        self._job = job
        self._process = os.getpid()

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job.job_id

    @property
    def submitted(self) -> State:
        """The state in which the submit found or left the job."""
        return self._job.submitted

    @property
    def created(self) -> bool:
        """Whether this submit made the job; false for a repetition."""
        return self._job.created

    @property
    def warning(self) -> str | None:
        """What the submitter should know; ``None`` for nothing."""
        return self._job.warning

    def state(self) -> State:
        """Return where the job stands now."""
        return self._ask(lambda job: job.state())

    def wait(self, timeout: float | None = None) -> JobResult:
        """Block until the job has ended.

        Raises:
            TimeoutError: not ended within ``timeout`` seconds; the job goes on.
        """
        return self._ask(lambda job: job.wait(timeout))

    def cancel(self, *, by: str | None = None, reason: str = "") -> State:
        """Ask for the job's end; see :meth:`jobfleet_publisher.SubmittedJob.cancel`."""
        return self._ask(lambda job: job.cancel(by=by, reason=reason))

    def _ask(self, ask: Callable[[AsyncSubmittedJob], Coroutine[Any, Any, T]]) -> T:
        async def asked(publisher: AsyncPublisher) -> T:
            if self._process != os.getpid():  # it came from the parent, on the parent's connections
                return await ask(await publisher.job(self.job_id))
            return await ask(self._job)

        return self._publisher._run(asked)

    def __repr__(self) -> str:
        return f"SubmittedJob({self.job_id!r})"
