"""A set is the same JSON in every process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import cycle
from typing import Annotated, Any, NamedTuple, Self

import pytest
from fastapi import FastAPI
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, field_serializer

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_publisher import Publisher, Then
from jobfleet_publisher.async_endpoints import AsyncEndpoints
from jobfleet_publisher.plain_payload import plain_payload
from jobfleet_worker import handler
from tests.dashboard.api.asgi_client import AsgiClient

ORDERS: tuple[tuple[Any, ...], ...] = (("b", "a", "c"), ("c", "b", "a"), ("a", "c", "b"))


class _Shuffled(set[Any]):
    """A set that iterates as another process would."""

    def __init__(self, items: Sequence[Any]) -> None:
        super().__init__(items)
        self._items = list(items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


class _ShuffledFrozen(frozenset[Any]):
    _items: list[Any]

    def __new__(cls, items: Sequence[Any]) -> Self:
        made = super().__new__(cls, items)
        made._items = list(items)
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    tags: set[str] | frozenset[str] = Field(alias="theTags")


class _Spelled(BaseModel):
    tags: set[str]

    @field_serializer("tags")
    def _text(self, tags: set[str]) -> str:
        return ",".join(tags)


class _Backwards(BaseModel):
    tags: set[str]

    @field_serializer("tags")
    def _text(self, tags: set[str]) -> list[str]:
        return sorted(tags, reverse=True)


@dataclass(frozen=True, slots=True)
class _Slots:
    tags: Any


class _Named(NamedTuple):
    tags: Any


_orders = cycle(ORDERS)


class _Body(BaseModel):
    tags: Annotated[set[str], AfterValidator(lambda _: _Shuffled(next(_orders)))]


def _model(order: Sequence[str]) -> _Model:
    given: dict[str, Any] = {"tags": _Shuffled(order), "more": _Shuffled(order)}
    return _Model.model_construct(**given)


SHAPES: dict[str, Any] = {
    "set": _Shuffled,
    "frozen": _ShuffledFrozen,
    "nested": lambda order: {"x": [(_Shuffled(order),)], "y": deque([_Shuffled(order)])},
    "in a set": lambda order: _Shuffled([_ShuffledFrozen(order), _ShuffledFrozen(["z", *order])]),
    "model": _model,
    "root": lambda order: RootModel[Any].model_construct(_Shuffled(order)),
    "slots": lambda order: _Slots(_Shuffled(order)),
    "named tuple": lambda order: _Named(_Shuffled(order)),
    "generator": lambda order: (each for each in [_Shuffled(order)]),
    "enum": lambda order: Enum("E", {"A": _ShuffledFrozen(order)}).A,  # type: ignore[attr-defined]
    "own serializer": lambda order: _Spelled.model_construct(tags=_Shuffled(order)),
    "set of models": lambda order: _Shuffled([_Slots(each) for each in order]),
    "mixed": lambda order: _Shuffled([*order, 1, None, 2.5]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_sets_are_the_same_json(shape: str) -> None:
    made = [plain_payload(SHAPES[shape](order)) for order in ORDERS]
    assert made[0] == made[1] == made[2]


def test_items_stand_in_the_order_of_their_json() -> None:
    assert plain_payload({"x": {"b", "a", "c"}}) == {"x": ["a", "b", "c"]}
    assert plain_payload(_model("cab")) == {"theTags": ["a", "b", "c"], "more": ["a", "b", "c"]}
    assert plain_payload(_Backwards(tags={"a", "b"})) == {"tags": ["b", "a"]}


def test_what_was_given_stays_as_it_was() -> None:
    given = _model("cab")
    plain_payload([given])
    assert list(given.tags) == ["c", "a", "b"]


def test_a_cycle_and_an_item_that_is_no_json_are_refused() -> None:
    circle: list[Any] = [{"a"}]
    circle.append(circle)
    for wrong in (circle, {object()}):
        with pytest.raises(InvalidRequest, match="payload is not JSON"):
            plain_payload(wrong)


@handler("test.sets")
def _declared(payload: _Model) -> None:
    """A handler whose payload declares a set."""


async def test_the_same_submit_is_the_same_job(publisher: Publisher) -> None:
    submits: dict[str, Any] = {
        "submit": lambda order, key: publisher.submit("echo", _model(order), idempotency_key=key),
        "declared": lambda order, key: _declared.submit(
            _model(order), publisher=publisher, idempotency_key=key
        ),
        "then": lambda order, key: publisher.submit(
            "echo", then=[Then(type="echo", payload=_model(order))], idempotency_key=key
        ),
        "declared then": lambda order, key: publisher.submit(
            "echo", then=[_declared.then(_model(order))], idempotency_key=key
        ),
        "context": lambda order, key: publisher.submit(
            "echo", context={"x": _Shuffled(order)}, idempotency_key=key
        ),
    }
    for name, submit in submits.items():
        jobs = [await submit(order, name) for order in ORDERS]
        assert [job.created for job in jobs] == [True, False, False], name


async def test_the_same_job_of_many_is_the_same_job(publisher: Publisher) -> None:
    job_id = "01890a5d-ac96-774b-bcce-b302099a8057"
    for order in ORDERS:
        request = await publisher.request("echo", _model(order), job_id=job_id)
        (answer,) = await publisher.submit_many([request])
        assert not isinstance(answer, Exception)


async def test_the_same_group_is_the_same_group(publisher: Publisher) -> None:
    ids = set()
    for order in ORDERS:
        then = [Then(type="echo", payload=_model(order))]
        ids.add((await publisher.open_group("g", idempotency_key="g", then=then)).group_id)
    assert len(ids) == 1


async def test_the_same_request_of_an_endpoint_is_the_same_job(publisher: Publisher) -> None:
    app = FastAPI()

    @AsyncEndpoints(app, publisher).post("/reports", job_type="report")
    async def order(body: _Body) -> None: ...

    headers = {"content-type": "application/json", "idempotency-key": "k"}
    client = AsgiClient(app, headers=headers)
    answers = [await client.post("/reports", {"tags": ["a", "b", "c"]}) for _ in ORDERS]
    assert [answer.status for answer in answers] == [202, 202, 202], answers[-1].body
    assert len({answer.headers["async-job-id"] for answer in answers}) == 1
