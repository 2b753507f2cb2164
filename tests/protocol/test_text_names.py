"""The name before a sign is the whole run of words that dots, slashes and brackets join."""

from __future__ import annotations

import json
from itertools import product

import pytest

from jobfleet_contracts.credentials import masked, masked_text

VALUE = "hunter22"
BEFORE = ("", "/", "/prod/db/", "prod/db/", "./", "~/a/", "my.", "spring.datasource.", "users[0].")
NAMES = ("password", "api_key", "clientSecret")
BEHIND = ("", ".value", "/current", "[value]", '["value"]', "[0].text", ".prod", "[]", "/")
SIGNS = ("=", " = ", ":=", " => ", ": ", " : ", ":\t", " -> ")
QUOTES = ("{}", '"{}"', "'{}'", '{{x: "{}"}}', "correct horse {}")
PLACES = ("{}", "a\n{}\nb", "- {}", "got {{{}}} there", "export {}", "<p>{}</p>")


def names() -> list[str]:
    """Return each name with each part before and behind it."""
    return [a + b + c for a, b, c in product(BEFORE, NAMES, BEHIND)]


@pytest.mark.parametrize("sign", SIGNS)
def test_a_value_is_hidden_behind_each_name(sign: str) -> None:
    for name, quotes, place in product(names(), QUOTES, PLACES):
        if "correct" in quotes and (place[0] == "<" or "there" in place):
            continue  # a blank ends the value of a sentence
        text = place.format(name + sign + quotes.format(VALUE))
        assert VALUE not in masked_text(text), text


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_value_is_hidden_behind_each_quoted_name(levels: int) -> None:
    for name in names():
        if '"' not in name:
            text = json.dumps({name: VALUE})
            for _ in range(levels):
                text = json.dumps(text)
            for shown in (text, f"got {text} there", text[:-1]):
                assert VALUE not in masked_text(shown), shown


@pytest.mark.parametrize(
    "text",
    [
        "my.secret.value:\n  - S",
        "db/password:\n  S",
        "db/password: >-\n  S",
        'cmd --db/password "S x"',
        '<add key="user[password]" value="S"/>',
        "<b>password:</b> S",
        "<b>password</b> = <i>S</i>",
        "<dt>Password:</dt>\n<dd>S</dd>",
        '<span class="k">password</span>: <span class="v">S</span>',
        "\x1b(Bpassword\x1b(B=S",
        "\x9b31mpassword\x9b0m=S",
        "\x1b]8;;http://x\x07password\x1b]8;;\x07=S",
        "\x1b]8;;http://x\x1b\\password\x1b]8;;\x1b\\: S",
        "\x1b]8;;http://x?token=S\x07a",
    ],
)
def test_a_value_is_hidden_in_further_notations(text: str) -> None:
    text = text.replace("S", VALUE)
    for each in (text, json.dumps({"a": text}), json.dumps(json.dumps(text))):
        assert VALUE not in masked_text(each), each


def test_a_value_behind_a_type_is_hidden() -> None:
    assert VALUE not in masked_text(f'my.secret.value: str = "{VALUE}"')


def test_an_option_with_a_path_names_the_next_argument() -> None:
    assert masked(["tool", "--db/password", VALUE]) == ["tool", "--db/password", "***"]


@pytest.mark.parametrize(
    "text",
    [
        "GET /api/tokens: 200 in 5 ms",
        "POST /oauth/token: 401 Unauthorized",
        "https://login.example/oauth/token: it failed",
        "cat: /run/secrets/db_password: No such file or directory",
        "/api/tokens: 404 Not Found",
        "/auth/login: it failed",
        "/auth/login -> /home",
        "src/auth/session.py:5: error",
        "session.py: it is broken",
        "com/example/auth/Login.java:55",
        "INFO:app.auth.views:message",
        "com.example.secret.Store: it is broken",
        "auth.example.com: 502 Bad Gateway",
        "auth.example.com:443 did not answer",
        "image ghcr.io/org/auth-service:v1.2.3 used",
        "-v /run/secrets:/run/secrets:ro",
        "PATH=/opt/auth/bin:/usr/bin",
        "[auth][worker]: started job",
        "tokens/s: 5.2",
    ],
)
def test_a_path_a_host_and_a_class_are_no_names_of_credentials(text: str) -> None:
    for shown in (text, f"it failed: {text}"):
        assert masked_text(shown) == shown
