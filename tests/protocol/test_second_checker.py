"""Two checkers that share no code agree on clean trails and on broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from devtools import second_checker
from devtools.second_checker import check
from jobfleet_contracts.codec import encode
from jobfleet_protocol.audit.verification import verify_job
from jobfleet_protocol.reading.export_line import export_line
from tests.protocol.life import Life
from tests.protocol.test_verification import BROKEN, LEGAL


def exported(life: Life) -> list[str]:
    return [encode(export_line(event, raw=True)).decode() for event in life.events]


@pytest.mark.parametrize("kind", LEGAL)
def test_the_second_checker_finds_nothing_in_a_legal_life(kind: str) -> None:
    assert check(exported(LEGAL[kind]()), raw=True) == []


@pytest.mark.parametrize("damage", BROKEN)
def test_the_second_checker_finds_what_the_first_one_finds(damage: str) -> None:
    life = BROKEN[damage][1]()
    assert verify_job(life.events)
    assert check(exported(life), raw=True)


def test_the_second_checker_imports_nothing_of_jobfleet_and_is_short() -> None:
    text = Path(second_checker.__file__).read_text()
    assert "import jobfleet" not in text
    assert "from jobfleet" not in text
    assert len(text.splitlines()) <= 200
