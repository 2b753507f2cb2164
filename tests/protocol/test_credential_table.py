"""A secret is hidden in each cell of a table of notations, save those that the docs name."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from jobfleet_contracts.credentials import masked, masked_text
from tests.protocol.credential_table import (
    CONTAINERS,
    IN_LABELS,
    LABEL_TEXTS,
    LABELLING,
    LABELLING_TEXTS,
    NAME_QUOTES,
    NAMES,
    NOT_HIDDEN,
    QUOTES,
    SIGNS,
    VALUE,
    Cell,
    cells,
)

SECURITY = Path(__file__).parents[2] / "SECURITY.md"
TURNS = 20


def _assert_hidden(cell: Cell, name: str) -> None:
    text = cell.text(name)
    shown = masked_text(text)
    assert VALUE not in shown, (cell, text, shown)


@pytest.mark.parametrize("container", CONTAINERS)
def test_each_sign_joins_name_and_value_in_each_container(container: str) -> None:
    for sign in SIGNS:
        for quotes in QUOTES:
            _assert_hidden(Cell("bare", sign, quotes, container), "password")
        for name_quotes in NAME_QUOTES:
            _assert_hidden(Cell(name_quotes, sign, "bare", container), "X-Api-Key")


def test_each_name_is_hidden_in_a_part_of_the_whole_table() -> None:
    some = Random(1).sample([*cells()], 1000)
    for number, cell in enumerate(some):
        _assert_hidden(cell, NAMES[number % len(NAMES)])


@pytest.mark.full
@pytest.mark.parametrize("turn", range(TURNS))
def test_the_whole_table_is_hidden(turn: int) -> None:
    for cell in islice(cells(), turn, None, TURNS):
        for name in NAMES[:2]:
            _assert_hidden(cell, name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "a\uff1a b \u201cü\u201d, pass\u200bword=x \u2192 \uff11",
            "a\uff1a b \u201cü\u201d, pass\u200bword=***",
        ),
        (
            "\x1b[36mtoken\x1b[0m=\x1b[35mx\x1b[0m \x1b[36msize\x1b[0m=5",
            "\x1b[36mtoken\x1b[0m=*** \x1b[36msize\x1b[0m=5",
        ),
        (
            "\uff54oken\uff1d***\uff1b\uff54oken\uff1dx",
            "\uff54oken\uff1d***\uff1b\uff54oken\uff1d***",
        ),
    ],
)
def test_the_signs_of_a_text_stay_where_nothing_is_hidden(text: str, shown: str) -> None:
    assert masked_text(text) == shown


@pytest.mark.parametrize("place", LABELLING)
def test_a_secret_is_hidden_in_what_is_taken_for_a_label(place: str) -> None:
    for text in IN_LABELS.values():
        for notation in LABEL_TEXTS.values():
            value = notation(LABELLING[place](text))
            shown = masked(value)
            assert VALUE not in str(shown), (value, shown)
            if place != "key and value":  # in a text, `"key": "a ***"` is hidden whole
                assert masked(shown) == shown, value


@pytest.mark.parametrize("place", LABELLING_TEXTS)
def test_a_secret_is_hidden_in_the_label_of_a_text(place: str) -> None:
    for text in IN_LABELS.values():
        notation = LABELLING_TEXTS[place](text)
        shown = masked_text(notation)
        assert VALUE not in shown, (notation, shown)


@pytest.mark.parametrize("last", ["null", '""', '"${secret:A}"', "1", "{}", "true"])
@pytest.mark.parametrize(
    "text",
    [
        '{"password":"S","password":N}',
        '{"a":{"password":"S"},"a":N}',
        '["x",{"token":"S","token":N}]',
        '{"name":"password","value":"S","value":N}',
        '{"a":[{"password":"S","password":null}],"a":N}',
        '{"apiKeys":{"S":1},"apiKeys":N}',
    ],
)
def test_a_value_whose_name_stands_twice_is_hidden(text: str, last: str) -> None:
    text = text.replace("S", VALUE).replace("N", last)
    for shown in (masked(text), masked({"a": json.dumps(text)}), masked(f"got {text} there")):
        assert VALUE not in str(shown), shown


def test_json_in_which_nothing_is_hidden_stays_as_it_is_written() -> None:
    text = '{"token_count": 1,\n  "note" : "the \\u00fc", "big": 123456789012345678901}'
    assert masked(text) == text


@pytest.mark.parametrize("name", ["apiKeys", "tokens", "secrets", "db/keys"])
@pytest.mark.parametrize("item", ["customer", 1, None, True, {"user": 5}, [1]])
def test_names_within_an_object_under_the_name_of_a_credential_are_hidden(
    name: str, item: object
) -> None:
    value = {name: {f"sk_{VALUE}": item}}
    assert masked(value) == {name: "***"}
    assert masked({name: [{VALUE: item}]}) == {name: ["***"]}
    assert masked({"name": name, "value": {VALUE: item}}) == {"name": name, "value": "***"}
    for text in (json.dumps(value), json.dumps(json.dumps(value)), f"got {value!r} there"):
        assert VALUE not in masked_text(text), text
    assert masked({name: {}}) == {name: {}}


def test_what_stands_behind_an_assignment_in_a_list_is_shown() -> None:
    variables = [f"DB_PASSWORD={VALUE}", "DEBUG=1"]
    assert masked(variables) == ["DB_PASSWORD=***", "DEBUG=1"]
    assert masked([f"--token={VALUE}", "--verbose"]) == ["--token=***", "--verbose"]


@pytest.mark.parametrize("label", ["X-Api-Key", "API key", "password:", "--token=", "aws:key"])
def test_a_label_without_a_secret_is_shown_and_names_its_value(label: str) -> None:
    assert VALUE not in str(masked([label, VALUE]))
    assert VALUE not in str(masked({"name": label, "value": VALUE}))
    assert masked([label, VALUE])[0] == label


def _documented() -> list[str]:
    text = SECURITY.read_text("utf-8")
    section = text.partition("### Not hidden\n\n")[2].partition("\n\n")[0]
    items = re.findall(r"^- (.*(?:\n  .*)*)", section, re.MULTILINE)
    return [" ".join(item.split()).partition(": `")[0].rstrip(";.") for item in items]


@pytest.mark.parametrize("reason", NOT_HIDDEN)
def test_what_the_docs_call_not_hidden_is_shown(reason: str) -> None:
    for example in NOT_HIDDEN[reason]:
        shown = masked_text(example) if isinstance(example, str) else str(masked(example))
        assert VALUE in shown, example


def test_a_word_of_a_state_is_shown_behind_a_colon() -> None:
    for text in ("password: expired", "secret: str"):
        assert masked_text(text) == text


def test_the_docs_name_each_exception_and_no_other() -> None:
    assert _documented() == [*NOT_HIDDEN]


@pytest.mark.parametrize(
    "value",
    [
        {"name": "password", "data": VALUE},
        {"data": VALUE, "key": "API key"},
        {"name": "X-Api-Key", "required": True, "is": VALUE, "was": VALUE},
        {"env": "DB_PASSWORD", "content": [VALUE]},
        {"name": "pin", "data": 87654321},
    ],
)
def test_a_label_names_the_one_or_two_values_beside_it(value: dict[str, object]) -> None:
    assert VALUE not in str(masked(value))
    assert "8765" not in str(masked(value))
    assert VALUE not in masked_text(f"got {value!r} there")


@pytest.mark.parametrize(
    "value",
    [
        {"type": "jwt.InvalidToken", "message": "it is over"},
        {"error": "invalid_token", "error_description": "it is over"},
        {"name": "token", "a": "x", "b": "y", "c": "z"},
        {"name": "X-Api-Key", "in": "header", "required": True},
        {"name": "size", "data": "x"},
        {"name": "sessions", "count": 5, "mean": 0.5},
        {"Bucket": "a", "Key": "imports/2026"},
        {"Key": "imports/2026.csv", "Size": 5},
        {"Key": "imports/2026.csv"},
    ],
)
def test_what_stands_beside_no_label_is_shown(value: dict[str, object]) -> None:
    assert masked(value) == value


@pytest.mark.parametrize(
    "value", [{"Key": VALUE}, {"Key": "a/b.csv", "Secret": "x"}, {"key": "a/b.csv"}]
)
def test_a_key_that_may_open_something_is_hidden(value: dict[str, object]) -> None:
    assert masked(value) == dict.fromkeys(value, "***")


@pytest.mark.parametrize(
    "text",
    [
        "password: expired1",
        "password: not a word",
        "password: str0ng",
        "pin: required 1234",
        'token: "expired"',
        "token=expired",
        "curl -u 1000:1000 https://h",
        "docker run curl -u 1000:1000 https://h",
    ],
)
def test_what_may_be_a_secret_is_hidden(text: str) -> None:
    assert "***" in masked_text(text)
