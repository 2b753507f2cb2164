"""Jobs with a credential in every field and every shape that a submitter can send."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

_numbers = count(1)
PLANTED: dict[str, str] = {}
"""What was planted, by a description of the place."""

NAMES = (
    "Authorization",
    "Proxy-Authorization",
    "X-Api-Key",
    "api_key",
    "apiKey",
    "X-Amz-Security-Token",
    "X-Vault-Token",
    "Private-Token",
    "Ocp-Apim-Subscription-Key",
    "X-Functions-Key",
    "X-Goog-Iap-Jwt-Assertion",
    "Cookie",
    "Set-Cookie",
    "X-Hub-Signature-256",
    "password",
    "dbPassword",
    "client_secret",
    "auth",
    "authToken",
    "jwt",
    "sig",
    "passphrase",
    "credentials",
    "connectionString",
)

SHAPES: dict[str, Callable[[str, str], Any]] = {
    "plain": lambda name, value: {name: value},
    "nested": lambda name, value: {"a": [{"b": {name: value}}]},
    "headers": lambda name, value: {"headers": {name: value}},
    "list of values": lambda name, value: {name: ["x", value]},
    "object below": lambda name, value: {name: {"primary": value}},
    "pairs": lambda name, value: {"headers": [["Accept", "a/b"], [name, value]]},
    "labelled": lambda name, value: {"headers": [{"name": name, "value": value}]},
    "keyed": lambda name, value: {"headers": [{"key": name, "value": value}]},
    "header line": lambda name, value: {"headers": ["Accept: a/b", f"{name}: {value}"]},
    "query": lambda name, value: {"url": f"https://a.example/x?page=1&{name}={value}"},
    "form": lambda name, value: {"body": f"a=b&{name}={value}&c=d"},
    "connection string": lambda name, value: {"dsn": f"Server=a;{name}={value};Port=1"},
    "JSON in a text": lambda name, value: {"body": f'{{"{name}":"{value}","a":1}}'},
    "cut JSON": lambda name, value: {"body": f'{{"{name}": "{value}", "a": '},
    "repr": lambda name, value: {"body": f"sent {{'{name}': '{value}'}}"},
    "XML": lambda name, value: {"body": f"<a><{name}>{value}</{name}></a>"},
    "beside a reference": lambda name, value: {"headers": {name: f"{value} ${{secret:NAME}}"}},
    "around a reference": lambda name, value: {name: f"${{secret:NAME}}{value}"},
}

TEXTS: dict[str, Callable[[str], str]] = {
    "bearer": lambda value: f"sent with Bearer {value}",
    "basic": lambda value: f"curl -H 'X: Basic {value}=='",
    "address": lambda value: f"see https://a.example/?access_token={value}",
    "escaped name": lambda value: f"https://a.example/?access%5Ftoken={value}",
    "code": lambda value: f"https://a.example/?code={value}",
    "argument": lambda value: f"tool --api-key={value}",
    "user info in a text": lambda value: f"try https://u:{value}@a.example/ first",
    "property": lambda value: f"_password={value}",
    "JSON in a sentence": lambda value: (
        f'sent {{\\"Key\\": \\"Password\\", \\"Value\\": \\"{value}\\"}}'
    ),
    "element with children": lambda value: f"<a:pin><!-- 1 --><b>{value}</b></a:pin>",
    "composed address": lambda value: f"try jdbc:mysql://bob:{value}@h/db",
    "token": lambda value: f"eyJhbGciOiJIUzI1NiJ9.{value}.abc",
}


def planted(place: str) -> str:
    """Return a fresh credential that is found again wherever it shows up."""
    PLANTED[place] = value = f"pl4nted{next(_numbers):04}x"
    return value


def jobs() -> list[dict[str, Any]]:
    """Return job requests that hold one in each field, name, shape and text."""
    found: list[dict[str, Any]] = []
    for field in ("payload", "processingParameters", "context"):
        for shape, make in SHAPES.items():
            values = {name: make(name, planted(f"{field} {shape} {name}")) for name in NAMES}
            found.append({"type": "demo.planted", field: values})
        texts = {name: make(planted(f"{field} text {name}")) for name, make in TEXTS.items()}
        found.append({"type": "demo.planted", field: texts})
    for field in ("description", "inputFilePath"):
        found += [
            {"type": "demo.planted", field: make(planted(f"{field} {name}"))}
            for name, make in TEXTS.items()
            if field == "description" or name in ("address", "escaped name", "code")
        ]
    callback = f"https://a.example/?sig={planted('callbackUrl')}"
    found.append({"type": "demo.planted", "callbackUrl": callback})
    target = f"https://a.example/?sig={planted('targetUrl')}"
    headers = {"X-Vault-Token": planted("headers of an http job")}
    found.append({"type": "http.request", "payload": {"targetUrl": target, "headers": headers}})
    return found
