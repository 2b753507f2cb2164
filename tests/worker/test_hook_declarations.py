"""Hooks and providers of every kind of function, and those refused when they are declared."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import pytest

from jobfleet_worker import (
    Run,
    around_attempt,
    handler,
    on_startup,
    provide,
)
from jobfleet_worker.handlers.declaration import DeclarationError
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.testing import run_handler


class Client:
    """Lives as long as a worker."""


class Session:
    """Lives as long as an attempt."""

    def __init__(self, client: Client) -> None:
        self.client = client


async def test_values_of_tests_stand_for_those_of_providers_and_annotations_tell_them_apart() -> (
    None
):
    Replica = Annotated[Client, "replica"]  # noqa: N806 - a type

    @handler("job")
    async def work(payload: int, first: Client, second: Replica) -> list[bool]:
        return [first is main, second is replica]

    main, replica = Client(), Client()
    run = await run_handler(work, 1, provided={Client: main, Replica: replica})
    assert run.result == [True, True]


async def test_functions_of_contextlib_and_plain_ones_are_hooks_and_providers_too() -> None:
    notes: list[str] = []

    @around_attempt
    @asynccontextmanager
    async def watched(run: Run) -> AsyncIterator[None]:
        yield
        notes.append("watched")

    @provide
    @contextmanager
    def session() -> Iterator[Session]:
        yield Session(Client())
        notes.append("closed")

    @provide
    async def client() -> Client:
        return Client()

    @handler("job")
    def work(session: Session, client: Client) -> list[str]:
        return [type(session).__name__, type(client).__name__]

    run = await run_handler(work, hooks=[watched, session, client])
    assert run.result == ["Session", "Client"]
    assert notes == ["closed", "watched"]


def needs_itself() -> list[Any]:
    @provide
    def client(session: Session) -> Client:
        return session.client

    @provide
    def session(client: Client) -> Session:
        return Session(client)

    return [client, session]


def needs_nobody() -> list[Any]:
    @provide
    def session(client: Client) -> Session:
        return Session(client)

    return [session]


def outlives() -> list[Any]:
    @provide
    def client() -> Client:
        return Client()

    @provide(per="worker")
    def session(client: Client) -> Session:
        return Session(client)

    return [client, session]


def two_for_one() -> list[Any]:
    @provide
    def first() -> Client:
        return Client()

    @provide
    def second() -> Client:
        return Client()

    return [first, second]


def without_annotation() -> list[Any]:
    @provide
    def client():  # type: ignore[no-untyped-def]
        return Client()

    return [client]


def without_yield() -> list[Any]:
    @around_attempt
    async def watched(run: Run) -> None: ...

    return [watched]


def with_parameters() -> list[Any]:
    @on_startup
    async def begin(worker: Any) -> None: ...

    return [begin]


def of_one_text() -> list[Any]:
    @around_attempt(types="job")
    async def watched(run: Run) -> AsyncIterator[None]:
        yield

    return [watched]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (needs_itself, "needs itself"),
        (needs_nobody, "nothing provides Client for parameter 'client'"),
        (outlives, "lives for one attempt only. Provide it per worker too"),
        (two_for_one, "provides Client too"),
        (without_annotation, "has no return annotation"),
        (without_yield, "has no `yield`"),
        (with_parameters, "must take no parameters"),
        (of_one_text, "types=['job']"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_what_cannot_work_is_refused_when_it_is_declared(declared: Any, message: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        Handlers.of(*declared())
    assert message in str(refused.value)
    assert "test_hook_declarations." in str(refused.value)


def test_a_handler_that_asks_for_what_nobody_provides_is_refused() -> None:
    @handler("job")
    async def work(payload: int, client: Client) -> None: ...

    with pytest.raises(DeclarationError, match="no @provide of the worker's modules makes Client"):
        Handlers.of(work)
