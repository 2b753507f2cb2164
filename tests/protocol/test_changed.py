"""A changed copy is what ``dataclasses.replace`` makes, for each field of what jobs are made of."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from jobfleet_contracts.changed import changed
from tests.conformance.jobs import queued


def test_a_copy_has_the_new_value_and_all_others() -> None:
    event = queued()
    for row in (event, event.after):
        for field in fields(row):
            new: Any = object()
            copy = changed(row, **{field.name: new})
            assert copy == replace(row, **{field.name: new})
            assert type(copy) is type(row)
    assert event == changed(event)


def test_a_field_that_does_not_exist_and_a_class_that_checks_itself_are_refused() -> None:
    with pytest.raises(KeyError, match="nothing"):
        changed(queued(), nothing=1)
    with pytest.raises(TypeError, match="__post_init__"):
        changed(_Checked(1, 2), one=3)


@dataclass(frozen=True, slots=True)
class _Checked:
    one: int
    other: int

    def __post_init__(self) -> None:
        assert self.one < self.other
