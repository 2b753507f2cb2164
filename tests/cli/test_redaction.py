"""``config show`` prints no secret, however it is written."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from jobfleet_backends.settings import Settings
from jobfleet_cli.redaction import (
    HIDDEN,
    redacted_address,
    redacted_connection_string,
    redacted_servers,
    redacted_settings,
)

SECRET = "hunter2-hunter2-hunter2"
ODD = [
    "",
    "/",
    " ",
    "@",
    ":",
    "?",
    "#",
    "%",
    ";",
    "=",
    "\\",
    "//",
    "://",
    "\t",
    "\u00e9",
    "&",
    "[",
    "]",
]


@pytest.mark.parametrize(
    "scheme", ["amqp://", "amqps://", "AMQP://", "amqp:", "//", "", "://", "a b://"]
)
@pytest.mark.parametrize("user", ["me", "", "m e", "me@corp", "me/x", SECRET])
def test_no_password_of_an_address_is_shown(scheme: str, user: str) -> None:
    password = "P4ss"
    for before, after in itertools.product(ODD, ODD):
        text = f"{scheme}{user}:{before}{password}{after}@broker:5672/jobs"
        assert password not in redacted_address(text), text


@pytest.mark.parametrize(
    "text", ["amqp://P4ss@[broker", "P4ss", "amqp://h/?password=P4ss", "amqp://h/x y P4ss"]
)
def test_what_is_no_address_is_not_shown(text: str) -> None:
    assert "P4ss" not in redacted_address(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://me:a/b c@broker:5671/x", "amqp://me:***@broker:5671/x"),
        ("amqps://me:p@ss@broker/", "amqps://me:***@broker/"),
        ("amqp://broker", "amqp://broker"),
        ("amqp://me@[::1]:5672", "amqp://***@[::1]:5672"),
        ("amqp://me:p@broker/?cafile=x", "amqp://me:***@broker/?***"),
        ("me:p@broker", HIDDEN),
    ],
)
def test_the_rest_of_an_address_is_shown(text: str, shown: str) -> None:
    assert redacted_address(text) == shown


@pytest.mark.parametrize(
    "form",
    [
        "AccountKey={0}",
        "AccountKey: {0}",
        "Account Key={0}",
        "{0}",
        "={0}",
        "AccountName={0}",
        "BlobEndpoint={0}",
        "BlobEndpoint=http://b/?sig={0}",
        "SharedAccessSignature=sv=1&sig={0}",
        "Password={0}",
        "AccountKey={0};=",
        ";;{0}",
        "DefaultEndpointsProtocol={0}",
        "BlobEndpoint=https://u:{0}@b",
    ],
)
@pytest.mark.parametrize("odd", ODD)
def test_no_key_of_a_connection_string_is_shown(form: str, odd: str) -> None:
    text = "AccountName=a;" + form.format(f"{odd}{SECRET}{odd}==")
    assert SECRET not in redacted_connection_string(text), text


def test_every_secret_setting_is_hidden_but_for_the_parts_that_hold_none() -> None:
    long_enough = f"{SECRET}-{SECRET}-{SECRET}"
    values = {
        name: long_enough
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert {
        "rabbitmq_url",
        "storage_connection_string",
        "session_secret",
        "callback_secrets",
    } <= set(values)
    shown = redacted_settings(Settings(_env_file=None, **values))  # type: ignore[arg-type]
    assert SECRET not in str(shown)


@pytest.mark.parametrize("backend", get_args(Settings.model_fields["backend"].annotation))
def test_where_the_servers_are_is_told_for_each_backend_without_secrets(backend: Any) -> None:
    settings = Settings(
        backend=backend,
        postgres_url=SecretStr(f"postgresql://bob:{SECRET}@db.example:5432/jobs"),
        rabbitmq_url=SecretStr(f"amqp://bob:{SECRET}@broker.example/"),
        storage_connection_string=SecretStr(
            f"AccountName=acme;AccountKey={SECRET};TableEndpoint=https://t.example/"
        ),
    )
    servers = redacted_servers(settings)
    assert SECRET not in servers
    wanted = {"azure": "t.example", "postgres": "db.example", "embedded": "JOBFLEET_DATA_DIR="}
    assert wanted[backend] in servers
