"""Names in a text: where one begins, and whether it says that its value is a credential.

A name is the longest run of words that dots, slashes and brackets join: ``/prod/db/password``,
``user[password].value``, ``config["db"]["secret"]``. It is judged like the name of a field, by
:func:`~jobfleet_contracts.secret_names.is_secret_name`.
"""

from __future__ import annotations

import re

from jobfleet_contracts.secret_names import MAX_NAME, NameRole, is_secret_name, role_of

_JOINING = "/.[]\"'`"
_JOINS = re.compile(
    r"""(?P<closes>(?:(?:\\{0,15}["'`])?\]){0,3})(?:\.|/{1,3}|\[(?:\\{0,15}["'`])?)?"""
)
_BEGINS = re.compile(r"[.~]{0,2}/\Z")
_ERROR_CLASS = re.compile(
    r"\.(?:Invalid|Expired|Missing|No|Unknown|Bad|Wrong|Unexpected|Malformed|Immature)[A-Z]\w*$"
)
_CLASS = re.compile(r"[a-z]\w*\.(?:.*\.)?[A-Z][a-z]\w*")
_SOURCE = re.compile(
    r".*\.(?:py|pyx|pyi|js|jsx|mjs|ts|tsx|vue|java|kt|scala|go|rs|rb|php|cs|c|h|cc|cpp|hpp|swift|"
    r"sh|sql|html|css)"
)
_HOST = re.compile(r"(?:[\w-]+\.)+(?:com|org|net|io|edu|gov|example|svc|amazonaws|localhost)")
_NO_NAME = re.compile(r"application/.*|.*/(?:s|sec|min|h)", re.IGNORECASE)
"""Types of content, and rates: ``tokens/s: 5``."""
_REQUEST = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_ROUTE = re.compile(r"o?auth(?:2|n|z|entication|orization)?|tokens|keys", re.IGNORECASE)
"""Parts of a route or of a module that name its purpose: ``/auth/login``, ``app.auth.views``."""
_LAST = re.compile(r"[/.\[\]\"'`\\]+")
_PORT = re.compile(r"[0-9]{1,5}(?!\w)")
_IMAGE_TAG = re.compile(
    r"(?:latest|stable|edge|main|v[0-9][\w.-]{0,40}|[0-9]+(?:\.[0-9]+){1,3}(?:-[\w.]{1,20})?)"
    r"""(?=[\s"'`,;)]|$)|/|r[ow](?!\w)"""
)
"""What follows the path of an image or a volume: ``org/auth-service:v2``, ``/run/secrets:/x``."""
_KEY = ("key", "keys")
_KEY_KINDS = frozenset({
    "api", "access", "account", "admin", "app", "auth", "client", "encryption", "functions", "host",
    "license", "master", "private", "secret", "service", "shared", "signing", "ssh", "storage",
    "subscription",
})  # fmt: skip
"""What stands before the word "key" if it names a credential: ``key: 5 of 9`` does not."""


class Name:
    """The name that ends with the word taken last.

    Attributes:
        start: where it begins.
        several: whether it has more words than that one.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        self._last: re.Match[str] | None = None
        self._before: re.Match[str] | None = None
        self.start = 0
        self.several = False

    def take(self, word: re.Match[str]) -> None:
        """Go on to the next word: it belongs to the name, or begins the next one."""
        if self._last is not None and self._joins(self._last.end(), word.start()):
            self.several = True
        else:
            self._before, self._depth, self.several = self._last, 0, False
            self.start = word.start()
            if self._text[self.start - 1 : self.start] == "/":
                begins = _BEGINS.search(self._text, max(0, self.start - 3), self.start)
                self.start = begins.start() if begins is not None else self.start
        self._last = word

    def _joins(self, first: int, end: int) -> bool:
        if self._text[end - 1] not in _JOINING or end > first + 40:
            return False
        joins = _JOINS.fullmatch(self._text, first, end)
        if joins is None:
            return False
        gap = self._text[first:end]
        depth = self._depth - joins["closes"].count("]")
        if depth < 0:  # "[auth][worker]": nothing stands before the first bracket
            return False
        self._depth = depth + gap.count("[")
        return True

    @property
    def word(self) -> str:
        """Return its last word, the end of a long one."""
        return "" if self._last is None else self._last[0][-MAX_NAME:]

    @property
    def whole(self) -> str:
        """Return it, the end of a long one."""
        end = self.start if self._last is None else self._last.end()
        return self._text[max(self.start, end - MAX_NAME) : end]

    @property
    def is_absolute(self) -> bool:
        """Whether it is a path from a root: ``/prod/db/password``, ``/api/tokens``."""
        return self._text[self.start : self.start + 1] == "/"

    def role(self) -> NameRole | None:
        """Return what it says of its value as a whole; ``None`` for nothing."""
        if not self.several or self._is_address() or _NO_NAME.fullmatch(self.whole):
            return None
        role = role_of(_without_routes(self.whole, "/"))
        return role if role is not None and role.secret else None

    def _is_address(self) -> bool:
        """Whether it is a part of an address, or the path of a request: ``GET /api/tokens``."""
        text, start = self._text, self.start
        if text[max(0, start - 3) : start].endswith(("://", ":/")):
            return True
        before = self._before
        is_request = before is not None and before[0] in _REQUEST and before.end() >= start - 2
        return is_request and text[start] == "/"

    def start_of_credential(self, at: int, *, colon: bool, joined: bool) -> int | None:
        """Return where the name of a credential begins; ``None`` if it is none before this sign.

        Args:
            at: where the value begins.
            colon: it stands behind a colon, and the name in no quotes: many other texts have one.
            joined: it follows the sign without a blank.
        """
        first, word = self.start, self.word
        before = self._before
        if (
            before is not None
            and before.end() > first - 50
            and self._text[before.end() : first] == " "
        ):
            if not is_secret_name(f"{before[0][-MAX_NAME:]} {self.whole}"):
                return None  # "primary key" and "max tokens" are other names than the last words
            if word.lower() in _KEY and before[0].lower().rpartition("-")[2] in _KEY_KINDS:
                first = before.start()
        if not colon:
            return first
        if word.lower() in _KEY and not self.several:
            return None if first == self.start else first
        return first if self._is_credential(at, joined=joined) else None

    def _is_credential(self, at: int, *, joined: bool) -> bool:
        name = self.whole
        if (
            _ERROR_CLASS.search(name)
            or ("/" in name and self._is_address())
            or _NO_NAME.fullmatch(name)
        ):
            return False
        if "/" in name.lstrip("/") and joined and _IMAGE_TAG.match(self._text, at):
            return False
        last = _LAST.split(name.rstrip(".-"))[-1]
        is_port = joined and _PORT.match(self._text, at) is not None
        if is_secret_name(last):
            other = "-" in last and not is_secret_name(last.rpartition("-")[2])
            return not (is_port and other)  # as "auth-service:8080"
        if is_port or any(kind.fullmatch(name) for kind in (_CLASS, _SOURCE, _HOST)):
            return False
        return is_secret_name(_without_routes(_without_routes(name, "/"), "."))


def _without_routes(name: str, sign: str) -> str:
    """Return a name without parts that name only what a route or a module is for."""
    if sign not in name:
        return name
    *parts, last = name.split(sign)
    return sign.join([*(part for part in parts if not _ROUTE.fullmatch(part)), last])
