"""Which names say that a value is a credential, for every form in which a name can stand."""

from __future__ import annotations

import re
from typing import NamedTuple

from jobfleet_contracts.look_alikes import plain
from jobfleet_contracts.short_text_cache import keep_for_short_texts

MAX_NAME = 200
"""Characters of a name that are looked at, from its end."""
SCHEMES = r"basic|bearer|digest|negotiate|token|apikey|sharedaccesssignature|hmac|aws4-hmac-sha256"

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_MARKS = (
    "token",
    "secret",
    "key",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "jwt",
    "cookie",
    "signature",
    "credential",
    "authorization",
    "connectionstring",
    "csrf",
    "xsrf",
    "oidc",
    "clientcert",
    "hmac",
)
_WORDS = frozenset({
    "cred", "creds", "totp", "oauth", "saml", "jsessionid", "phpsessid", "sig", "pass", "pin",
    "otp", "sas", "sid", "session", "bearer", "dpop",
})  # fmt: skip
_HARMLESS = re.compile(
    # Whole words of the name, joined by "_": a row key is harmless, the end of "escrowKey" is not.
    "(?<![^_])(?:"
    # Our own field names.
    "lock_?key|idempotency_?key|fencing_?token|key_?word|"
    # Keys that find something instead of opening it.
    "(?:partition|row|sort|primary|foreign|public|routing|group|cache|hash|range|message|order|"
    "business|object)_?key|key_?(?:name|type|id|space)|"
    # Counts of a language model's tokens.
    "(?:max|min|num|total|input|output|prompt|completion)_?tokens|token_?(?:count|limit)|"
    # What a parser met.
    "unexpected_?(?:token|key)|"
    # Other words.
    "tokenizer|secretary|secretariat|key_?(?:board|frame|note|point|press|phrase)|"
    "monkey|donkey|turkey|hockey|jockey|whiskey"
    ")(?:e?s)?(?![^_])"
)
_NO_CREDENTIAL = re.compile(r"(error|exception|warning)$")
_SIGNS = (
    "token", "secret", "key", "pass", "pwd", "jwt", "cookie", "sig", "cred", "auth", "connection",
    "csrf", "xsrf", "oidc", "cert", "hmac", "pin", "otp", "sas", "sid", "session", "bearer", "dpop",
    "saml",
)  # fmt: skip
_LABELS = frozenset({
    "name", "key", "header", "field", "param", "parameter", "property", "attribute", "variable",
    "var", "option", "setting", "label", "type", "k", "n", "attr", "prop", "env", "arg",
    "argument",
})  # fmt: skip
_NO_PAIR = frozenset({"type"})
"""A label only if its value is called one: errors have a type and a message, `InvalidToken: …`."""
_VALUES = frozenset({"value", "values", "val", "v", "string"})
_COUNTED = frozenset({"tokens", "keys", "sessions", "cookies", "signatures"})
"""What a number counts. Passwords are not counted, and "pass" and "sas" are not plurals."""
_MOST_WORDS = 3
_ASSIGNMENT = re.compile(rf"[\w$.-]+=(?!(?:{SCHEMES})?\Z)[^\s=].*", re.IGNORECASE)


class NameRole(NamedTuple):
    """What a name says of its value.

    Attributes:
        secret: it is a credential.
        label: it is the name of the value beside it, as in ``{"name": …, "value": …}``.
        value: it is the value that the label beside it names.
    """

    secret: bool
    label: bool
    value: bool


@keep_for_short_texts(8192)
def role_of(name: str) -> NameRole | None:
    """Return what a name says of its value; ``None`` for an ordinary name."""
    secret, label, value = is_secret_name(name), is_label_name(name), is_value_name(name)
    label = label and (not secret or name.lower() == "key")  # "api_key" labels nothing
    return NameRole(secret, label, value) if secret or label or value else None


@keep_for_short_texts(4096)
def is_secret_name(name: str) -> bool:
    """Whether a field, header or parameter of this name carries a credential."""
    name = plain(name)
    if not may_hold_secret_name(name.lower()):
        return False
    words = [word.lower() for word in _PART.findall(name)]
    joined = "".join(words)
    if _NO_CREDENTIAL.search(joined):
        return False
    rest = _HARMLESS.sub("", "_".join(words)).replace("_", "")
    return any(mark in rest for mark in _MARKS) or any(map(_is_secret_word, words))


def may_hold_secret_name(lower: str) -> bool:
    """Whether a text in small letters may hold the name of a credential: a cheap test."""
    for sign in _SIGNS:  # noqa: SIM110 - any() takes twice as long; values have 100,000 texts
        if sign in lower:
            return True
    return False


def is_label_name(name: str) -> bool:
    """Whether a field of this name can name the value beside it: ``headerName``, ``Key``."""
    return _last_word(name) in _LABELS


def is_pair_label(name: str) -> bool:
    """Whether a field of this name names the one beside it, whatever that is called."""
    return _last_word(name) in _LABELS - _NO_PAIR


def is_value_name(name: str) -> bool:
    """Whether a field of this name can hold the value that a label names."""
    return _last_word(name) in _VALUES


def is_count_name(name: str) -> bool:
    """Whether a number under this name counts something: ``tokens: 512``."""
    return _last_word(name) in _COUNTED


def is_label(text: object) -> bool:
    """Whether a value may be the name of a credential: ``X-Api-Key``, ``API key``.

    It may hold one as well, as ``X-Api-Key: X`` does: search the text before you show it.
    """
    return (
        isinstance(text, str)
        and len(text) <= MAX_NAME
        and is_secret_name(text)
        and len(text.split()) <= _MOST_WORDS
    )


def is_assignment(text: str) -> bool:
    """Whether a text sets a variable or an option, and labels nothing: ``DB_PASSWORD=X``."""
    return _ASSIGNMENT.fullmatch(plain(text)) is not None


def _last_word(name: str) -> str:
    words = _PART.findall(plain(name)[-20:])
    return words[-1].lower() if words else ""


def _is_secret_word(word: str) -> bool:
    if word in _WORDS:
        return True
    author = word.startswith("author") and not word.startswith(("authori", "authorz"))
    return word.startswith("auth") and not author and word not in ("authority", "authorities")
