"""A credential is hidden in each notation, and ordinary text stays as it is."""

from __future__ import annotations

import time
from itertools import product

import pytest

from jobfleet_contracts import named_values
from jobfleet_contracts.credentials import masked, masked_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.named_values import Scan
from tests.protocol.credential_notations import (
    FORMS,
    FREE_NAMES,
    OF_FREE_NAMES,
    OF_PHRASES,
    OF_QUOTED,
    OF_WORDS,
    ORDINARY_NAMES,
    ORDINARY_TEXTS,
    PARTS,
    PHRASES,
    QUOTED,
    SECRET_NAMES,
    WORDS,
)

ALL = OF_WORDS | OF_PHRASES | OF_QUOTED
VALUES = {
    name: WORDS if name in OF_WORDS else PHRASES if name in OF_PHRASES else QUOTED for name in ALL
}
SHOWN = "hunter22"


@pytest.mark.parametrize("notation", ALL)
def test_a_value_is_hidden_by_each_name_of_a_credential(notation: str) -> None:
    names = SECRET_NAMES + (FREE_NAMES if notation in OF_FREE_NAMES else ())
    for name in names:
        for value in VALUES[notation]:
            text = ALL[notation](name, value)
            shown = masked_text(text)
            assert SHOWN not in shown, (text, shown)
            assert "***" in shown, (text, shown)
            assert masked_text(shown) == shown, text


@pytest.mark.parametrize("notation", ALL)
def test_a_value_is_shown_by_each_ordinary_name(notation: str) -> None:
    for name in ORDINARY_NAMES:
        for value in VALUES[notation]:
            text = ALL[notation](name, value)
            assert masked_text(text) == text


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_hidden_wherever_it_stands(form: str) -> None:
    for before in ("", "it failed: ", "a\n", '{"a": 1} ', "(", "'"):
        text = f"{before}{FORMS[form]}"
        shown = masked_text(text)
        assert not [part for part in PARTS if part in shown], shown
        assert masked_text(shown) == shown


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert masked_text(text) == text
    assert masked_text(f"it failed: {text}") == f"it failed: {text}"


_HOSTILE = (
    "key", "name", "value", "password", "_", "$", ".", "-", "--", "=", ":", ",", ";", "&", "%3d",
    "%", " ", "\n", "\t", '"', "'", "\\", '\\"', "{", "}", "[", "]", "(", "<", ">", "</", "/>",
    "<!--", "<![CDATA[", "//", "://", "/", "@", "eyJ", "ewo", "Bearer ", "Basic ", "&quot;", "&lt;",
    "|\n ", "=>", "${secret:A}", "<password>", "</password>", '"name":"token",', '<a name="key">',
    '["key","', "password: ", "\n password:\n  ", "jdbc:oracle:a:", "a=", "x:", "aaaaaaaaa", "1",
    "-----BEGIN PRIVATE KEY-----", "token=Bearer ", '{"name":"password",', " -> ", "==", "\uff1a",
    "\u200b", "\x1b[3", "</td><td>", "\n ", 'Bearer "', "\\n", "\\x3d", "[0]",
)  # fmt: skip
"""What the grammar is made of; a text of two of them, again and again, meets each repetition."""


def _seconds(piece: str, length: int) -> float:
    text = "password" + piece * (length // len(piece)) + "="
    began = time.process_time()
    masked_text(text)
    return time.process_time() - began


def _is_masked_in_time(piece: str, length: int, seconds: float) -> None:
    if (spent := _seconds(piece, length)) < seconds:
        return
    # A crowded machine takes more CPU time as well; four times the text then takes four times as
    # long, and sixteen times where a pattern is quadratic.
    growth = min(_seconds(piece, length) / _seconds(piece, length // 4) for _ in range(3))
    assert growth < 10, f"{piece!r} again and again: a quadratic pattern, {spent:.2f} s"


@pytest.mark.parametrize(
    "turn", [0, *(pytest.param(turn, marks=pytest.mark.full) for turn in range(1, 10))]
)
def test_a_hostile_text_takes_a_time_that_grows_with_its_length(turn: int) -> None:
    for place, first in enumerate(_HOSTILE):
        for second in _HOSTILE[(place + turn) % 10 :: 10]:
            _is_masked_in_time(first + second, 40_000, 0.4)


_BEFORE = ("", "[", "(", "{", "<", "<a ", ",", ";", "/", "--", '"', "'", '\\"', "\n", ". ")
_NAMES = ("key", "name", "value", "password")
_BETWEEN = ("=", ":", ": ", '"=', '": ', '", "', ">", " ")
_AFTER = ("a", "a<", "a;", "a)", "a,b", '"a', '"x"><![CDATA[', "[", "\n\n ", "token;", '\\"a"')
_MOST_STEPS = 6


def _assert_few_steps(pieces: tuple[str, ...], length: int) -> None:
    """Count the characters looked at, not the time: a busy machine cannot bend it."""
    piece = "".join(pieces)
    text = "password" + piece * (length // len(piece))
    scan = Scan(text)
    scan.masked()
    assert scan.steps < _MOST_STEPS * len(text), f"{piece!r} again and again"


@pytest.mark.parametrize("name", _NAMES)
def test_each_character_is_looked_at_few_times(name: str) -> None:
    for before, between, after in product(_BEFORE, _BETWEEN, _AFTER):
        _assert_few_steps((before, name, between, after), 400)


@pytest.mark.full
@pytest.mark.parametrize("first", _HOSTILE)
def test_each_character_of_three_hostile_pieces_is_looked_at_few_times(first: str) -> None:
    for second, third in product(_HOSTILE, _HOSTILE):
        _assert_few_steps((first, second, third), 1000)


@pytest.mark.full
@pytest.mark.parametrize("between", _BETWEEN)
def test_a_name_with_hostile_text_around_it_takes_a_time_that_grows_with_the_length(
    between: str,
) -> None:
    for before, name, after in product(_BEFORE, _NAMES, _AFTER):
        _is_masked_in_time(before + name + between + after, 10_000, 0.1)


def test_what_is_left_of_a_text_that_takes_too_many_steps_is_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(named_values, "_MOST_STEPS", 0.01)
    shown = masked_text(f"size: 5, token={'a' * 500} and then password={SHOWN}")
    assert shown == "size: 5, token=***"


@pytest.mark.full
@pytest.mark.parametrize("piece", _HOSTILE)
def test_a_hostile_text_of_a_megabyte_takes_seconds(piece: str) -> None:
    _is_masked_in_time(piece, 1_000_000, 10)


@pytest.mark.parametrize("field", ["jobName", "lockKey"])
def test_a_name_that_masking_would_change_is_refused(field: str) -> None:
    for name in SECRET_NAMES:
        for between in ("=", " = ", ": ", " : "):
            with pytest.raises(InvalidRequest, match="credential"):
                JobRequest.parse({"type": "a", field: f"{name}{between}hunter22"})


@pytest.mark.parametrize("field", ["jobName", "lockKey"])
@pytest.mark.parametrize(
    "text", ["session:42", "session\uff1a42", "customer:5:key", "invoice 5 of 9", "key: 5"]
)
def test_an_ordinary_name_is_accepted(field: str, text: str) -> None:
    JobRequest.parse({"type": "a", field: text})


@pytest.mark.parametrize("label", ["Name", "Key", "header", "field_name", "param", "variable", "k"])
@pytest.mark.parametrize("value", ["Value", "val", "fieldValue", "v", "values"])
def test_the_value_beside_a_label_is_hidden_and_the_label_shown(label: str, value: str) -> None:
    for name in ("X-Api-Key", "Password", "API key"):
        assert masked({label: name, value: SHOWN}) == {label: name, value: "***"}
    assert masked({label: "size", value: SHOWN}) == {label: "size", value: SHOWN}


def test_a_text_under_key_is_hidden_unless_a_value_stands_beside_it() -> None:
    assert masked({"key": "key-hunter22"}) == {"key": "***"}
    assert SHOWN not in masked_text("sent key=key-hunter22 to it")
    assert SHOWN not in masked_text('sent {"key": "key-hunter22", "size": 1} to it')


@pytest.mark.parametrize("name", ["pass", "db_pass", "creds", "secrets", "passwords", "sas"])
def test_a_number_under_the_name_of_a_credential_is_hidden(name: str) -> None:
    assert masked({name: 87654321}) == {name: "***"}
    for text in (f'{{"{name}":N}}', f"{name}=N", f"--{name} N", f"?a=b&{name}=N", f"{name}: N"):
        assert masked_text(text.replace("N", "87654321")) != text.replace("N", "87654321")
        assert "8765" not in masked_text(f"it had {text.replace('N', '87654321')}")


@pytest.mark.parametrize(
    "text", ["https:&#x2F;&#47;bob:S@h", "https:&sol;&sol;bob:S@h", "B&#101;arer S", "tok&#101;n=S"]
)
def test_escapes_of_html_are_looked_through(text: str) -> None:
    assert SHOWN not in masked_text(text.replace("S", SHOWN))


def test_a_text_under_the_element_key_is_hidden_where_its_name_labels_it() -> None:
    shown = masked_text(f"<key name='password'>{SHOWN}</key><value>1</value>")
    assert shown == "<key name='password'>***</key><value>1</value>"


@pytest.mark.parametrize("value", [None, True, 5])
def test_a_count_and_a_constant_are_no_credential(value: object) -> None:
    assert masked({"tokens": value}) == {"tokens": value}
