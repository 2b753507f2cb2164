"""A text that is cut shows no part of a credential, wherever in it the cut falls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from jobfleet_contracts.credentials import masked, masked_text
from jobfleet_contracts.cut_text import beginning_of, cut_text, ends_of
from jobfleet_protocol.trail.transitions import cut_message
from jobfleet_worker.handlers.described_error import describe_error
from jobfleet_worker.run.kept_details import shortened
from jobfleet_worker.run.outcome_record import _first_line
from tests.dashboard.planted import SHAPES, TEXTS

SECRET = "q9w8e7r6t5z4"
SHORTEST = 4
"""Characters of a credential that count as shown."""
_AROUND = "no answer came, "
_AHEAD = 300
_AFTER = {"little": " and so on", "much": " and so on" * 80}
_SOME = ("database", "quoted", "token", "query", "header line")


@pytest.fixture(autouse=True)
def _looks_less_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look no farther than short texts need: masking many long ones takes minutes."""
    monkeypatch.setattr("jobfleet_contracts.cut_text.BESIDE", _AHEAD)


def _texts() -> Iterator[tuple[str, str]]:
    for name, shape in SHAPES.items():
        made = shape("password", SECRET)
        value = next(iter(made.values())) if len(made) == 1 else made
        yield name, value if isinstance(value, str) else orjson.dumps(made).decode()
    for name, text in TEXTS.items():
        yield name, text(SECRET)
    yield "database", f"postgres://user:{SECRET}@host/name"
    yield "quoted", f'password="{SECRET} {SECRET}" rest'
    yield "private key", f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"


CREDENTIALS = {name: text for name, text in _texts() if SECRET not in masked_text(text)}


def _shown(text: str) -> bool:
    pieces = {SECRET[at : at + SHORTEST] for at in range(len(SECRET) - SHORTEST + 1)}
    return any(piece in text for piece in pieces)


def test_no_cut_of_a_text_shows_a_part_of_a_credential() -> None:
    assert len(CREDENTIALS) > 20
    for name, credential in CREDENTIALS.items():
        for extent, rest in _AFTER.items():
            text = f"{_AROUND * 3}{credential}{rest}"
            before = text.index(SECRET)
            for most in range(before, before + len(credential) + 3, 3):
                for cut in (cut_text(text, most), beginning_of(text, most), ends_of(text, most)[0]):
                    assert len(cut) <= most, (name, extent, most)
                    assert not _shown(masked_text(cut)), (name, extent, most)


def test_no_end_of_a_text_shows_a_part_of_a_credential() -> None:
    for name, credential in CREDENTIALS.items():
        for extent, rest in _AFTER.items():
            text = f"{rest} {credential} {_AROUND * 3}"
            after = len(text) - text.rindex(SECRET) - len(SECRET)
            for most in range(after, after + len(credential) + 3, 3):
                cut = ends_of(text, most)[1]
                assert len(cut) <= most, (name, extent, most)
                assert not _shown(masked_text(cut)), (name, extent, most)


def test_a_long_text_without_a_credential_is_cut_at_the_limit() -> None:
    text = "".join(f"line {number} " for number in range(10_000))
    assert cut_text(text, 500) == text[:500]
    assert ends_of(text, 500) == (text[:500], text[-500:])
    assert cut_text(text[:500], 500) == text[:500]


def _raised(text: str) -> BaseException:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


_CUTS: dict[str, Callable[[str], Any]] = {
    "the message of an event": cut_message,
    "the message of a retry": _first_line,
    "an error": lambda text: describe_error(_raised(text)).to_json(),
    "a group of errors": lambda text: describe_error(
        ExceptionGroup("several", [ValueError(text), KeyError(text)])
    ).to_json(),
    "details of a repeated attempt": lambda text: shortened({"said": [text, text]}, sequence=900),
}


@pytest.mark.parametrize("place", _CUTS)
def test_no_place_that_cuts_texts_cuts_a_credential_in_two(place: str) -> None:
    for name in _SOME:
        credential = CREDENTIALS[name]
        for shift in range(0, len(credential), 7):
            text = f"{'.' * shift} " + f"{credential} " * (9_000 // len(credential))
            assert not _shown(str(masked(_CUTS[place](text)))), (name, shift)
