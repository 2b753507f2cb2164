"""A result is stored as it is, or refused: no value is lost or becomes another one on the way."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from jobfleet_worker.handlers.result_json import result_json


class Colour(Enum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


class Model(BaseModel):
    values: dict[Any, Any]


@dataclass
class Record:
    values: Any


@dataclass(slots=True)
class Slots:
    values: Any


class Extra(BaseModel, extra="allow"):
    pass


KEYS = (
    1,
    True,
    None,
    1.5,
    Colour.RED,
    Number.ONE,
    b"a",
    (1, 2),
    Decimal("1.10"),
    date(2026, 1, 2),
    datetime(2026, 1, 2, tzinfo=UTC),
    time(1, 2),
    timedelta(seconds=3),
    UUID(int=5),
    Path("a"),
    IPv4Address("127.0.0.1"),
)
WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "alone": lambda value: value,
    "in a list": lambda value: [1, value],
    "in a tuple": lambda value: (1, value),
    "in an object": lambda value: {"a": {"b": value}},
    "in an ordered dict": lambda value: OrderedDict(a=value),
    "in a dataclass": Record,
    "in a dataclass with slots": Slots,
    "in a field beyond the model's own": lambda value: Extra.model_validate({"a": value}),
    "in a deque": lambda value: deque([value]),
    "in a model": lambda value: Model(values={"a": value}),
    "in a model in a list": lambda value: [Model(values={"a": [value]})],
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_keys_that_are_one_in_json_are_refused_and_others_are_not(key: Any, wrapper: str) -> None:
    (text,) = to_jsonable_python({key: None})
    wrap = WRAPPERS[wrapper]
    with pytest.raises(TypeError, match="2 of its keys are"):
        result_json(wrap({key: "first", text: "second"}))
    result_json(wrap({key: "first", f"{text} and more": "second"}))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("text", ["NaN", "sNaN", "-NaN", "Infinity", "-Infinity"])
def test_decimals_that_are_no_numbers_are_refused_as_floats_are(text: str, wrapper: str) -> None:
    with pytest.raises(TypeError, match="which JSON cannot"):
        result_json(WRAPPERS[wrapper](Decimal(text)))
    if "s" not in text:
        with pytest.raises(TypeError, match="which JSON cannot"):
            result_json(WRAPPERS[wrapper](float(text)))


def test_what_json_can_hold_stays() -> None:
    assert result_json({1: Decimal("1.10"), "2": [Number.ONE]}) == {"1": "1.10", "2": [1]}
    assert result_json(Model(values={1: {2, 3}})) == {"values": {"1": [2, 3]}}
