"""Which masked value of a job a form leaves to be filled: its path comes from the browser."""

import pytest

from jobfleet_dashboard.views.submit import submit_form

VALUES = {"payload": [{"a": 1}, 2]}


@pytest.mark.parametrize("place", ["9" * 5_000, "7", "-1", "x", "٣", "1.0", ""])
def test_a_place_that_a_list_lacks_holds_nothing(place: str) -> None:
    """Python refuses to read a number of more than 4,300 digits."""
    assert submit_form._at(VALUES, ["payload", place]) is None


def test_a_place_of_a_list_holds_its_item() -> None:
    assert submit_form._at(VALUES, ["payload", "1"]) == 2
    assert submit_form._at(VALUES, ["payload", "0", "a"]) == 1
