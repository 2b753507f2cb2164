"""Credentials that show by their form, under whatever name: addresses, schemes, tokens, keys."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from jobfleet_contracts.kept_parts import HIDDEN
from jobfleet_contracts.secret_names import SCHEMES

_REFERENCE = re.compile(
    rf"((?:{SCHEMES})\s+)?(?:\$\{{secret:[A-Za-z0-9_]{{1,100}}\}})+", re.IGNORECASE
)
_SIGNS = (
    "//",
    "\\/",
    "\\u",
    "\\x",
    "/\t",
    "/\n",
    "/\r",
    "eyj",
    "eya",
    "ewo",
    "ew0",
    "bearer",
    "basic",
    "digest",
    "negotiate",
    "signature",
    "private key",
    "code=",
    "jdbc:",
    "-u",
    "--user",
)
"""Cheap test before the patterns: without one of these, no form of a credential is in a text."""

# Every repetition is bounded or begins at a mark that stands once: a text of a megabyte must not
# take a time that grows with its square.
_USER_INFO = re.compile(r"//(?<![A-Za-z0-9+./-]//)([^\s/?#'\"<>]{1,1000})@")
_ODD_USER_INFO = re.compile(
    # Clients read over tabs and line breaks in an address. A port is not a password.
    r""":[\\\t\r\n]{0,3}/[\\\t\r\n]{0,3}/"""
    r"""([^ /?#@:'"<>\[]{0,100}:(?![0-9\t\r\n]{1,8}(?:[/?# \t\r\n]|$))[^ '"<>@]{0,200}"""
    r"""(?:@[^\s/?#'"<>@]{1,200}){0,3})@"""
)
_ORACLE = re.compile(r"\bjdbc:oracle:[a-z]{1,10}:([^\s/@]{1,100}/[^\s@]{1,200})@")
_LINE_BREAKS = re.compile(r"[\t\r\n]")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]{0,200}://")
_USER_OPTION = re.compile(
    r"""((?<!\S)(?:-[uU]|--user|--proxy-user)[ =]?)"""
    r"""("[^":]{1,200}:[^"]*"|'[^':]{1,200}:[^']*'|[^\s:"']{1,200}:[^\s"']+)"""
)
_IDS = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")
_CONTAINER = re.compile(r"\b(?:docker|podman|nerdctl|buildah)\b(?!.*\bcurl\b)")
_COMMAND_LENGTH = 500
_CODE = re.compile(r"([?&]code=)([^&;#\s\"'<>]+)", re.IGNORECASE)
_SCHEME = re.compile(
    r"\b(Bearer|Basic|Digest|Negotiate|SharedAccessSignature)(\s{1,100})"
    r"(?:(\\{0,15}[\"'`])([^\"'`\r\n]{1,4000})|([^\s,;\"'<>]{4,}))",
    re.IGNORECASE,
)
_NOT_BARE = re.compile(r"[0-9=_+/.-]")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{4,}={0,2}")
_AFTER_BEARER = re.compile(
    r"(auth|token|scheme|realm|header|credential|error|required|missing|expected|invalid|expired|"
    r"rejected|failed|refused|method|access|format|prefix|string|challenge|value|with|from|that|"
    r"must|should|were|which|when|have|does|only|will)",
    re.IGNORECASE,
)
"""How ordinary words begin that follow the word ``Bearer`` in a sentence."""
_LONGEST_WORD = 16
_SHORTEST_VALUE = 4
_SHORTEST_BASIC = 5
# A run begins where no such character stands before it: "eyJ-eyJ-eyJ" is looked through once.
_TOKEN_RUN = re.compile(r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_.-]*e[yw][A-Za-z0-9_.-]*")
_TOKEN_START = re.compile(r"(?<![A-Za-z0-9])(?=(e[yw][A-Za-z0-9_-]{6,22}))")
_TOKEN_HEADER = re.compile(rb'\{\s*(?:"|$)')
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)(?:(?!-----END).)*", re.DOTALL
)


def may_hold_form(lower: str) -> bool:
    """Whether a text in small letters may hold a form of a credential: a cheap test."""
    for sign in _SIGNS:  # noqa: SIM110 - any() takes twice as long; values have 100,000 texts
        if sign in lower:
            return True
    return False


def is_reference(text: str) -> bool:
    """Whether a text is nothing but references to secrets, which may be shown."""
    return _REFERENCE.fullmatch(text) is not None


def without_addresses(text: str) -> str:
    """Hide users and passwords in addresses."""
    if "/" not in text or "@" not in text:
        return text
    shown = _ODD_USER_INFO.sub(_user_info, _USER_INFO.sub(_user_info, text))
    return _ORACLE.sub(_user_info, shown) if "jdbc:" in shown else shown


def without_forms(text: str) -> str:
    """Hide values of schemes, private keys, JSON Web Tokens and users of command lines."""
    shown = _PRIVATE_KEY.sub(rf"\1{HIDDEN}", text) if "PRIVATE KEY" in text else text
    shown = _SCHEME.sub(_scheme, shown)
    if "=" in shown:
        shown = _CODE.sub(_code, shown)
    if "-u" in shown or "-U" in shown or "--proxy-user" in shown:
        shown = _USER_OPTION.sub(_user_option, shown)
    return _TOKEN_RUN.sub(_token_run, shown) if "ey" in shown or "ew" in shown else shown


def user_info_in(value: Any, path: str) -> str | None:
    """Return the path of a text that is a URL with user info; ``None`` if there is none.

    A user alone, as in ``ssh://git@host``, is not a credential; in a web address it is refused too.
    """
    match value:
        case str():
            return path if _is_url_with_user_info(value) else None
        case Mapping():
            found = (user_info_in(item, f"{path}.{name}") for name, item in value.items())
        case list() | tuple():
            found = (user_info_in(item, f"{path}.{place}") for place, item in enumerate(value))
        case _:
            return None
    return next((each for each in found if each is not None), None)


def _is_url_with_user_info(text: str) -> bool:
    url = _LINE_BREAKS.sub("", text.strip())
    address = _ADDRESS.match(url)
    if address is None:
        return False
    slashes = address.end() - 2
    found = _USER_INFO.match(url, slashes) or _ODD_USER_INFO.match(url, slashes - 1)
    return found is not None and _is_credential(found)


def _is_credential(found: re.Match[str]) -> bool:
    """Whether user info is one: with a password, or in a web address."""
    before = found.string[max(0, found.start(1) - 20) : found.start(1)]
    is_web = before.rstrip("/\\\t\r\n").lower().endswith(("http:", "https:"))
    return is_web or ":" in found[1] or "/" in found[1]


def _user_info(found: re.Match[str]) -> str:
    if found[1] == HIDDEN or not _is_credential(found):
        return found[0]
    return f"{found[0][: found.start(1) - found.start()]}{HIDDEN}@"


def _user_option(found: re.Match[str]) -> str:
    """Hide user and password; ``docker run -u 1000:1000`` names a user and a group."""
    before = found.string[max(0, found.start() - _COMMAND_LENGTH) : found.start()]
    line = before[max(before.rfind("\n"), before.rfind("\r")) + 1 :]
    if _IDS.fullmatch(found[2]) and _CONTAINER.search(line):
        return found[0]
    return f"{found[1]}{HIDDEN}"


def _scheme(found: re.Match[str]) -> str:
    scheme, blanks, quote, quoted, text = found.groups()
    if quote is None:
        return f"{scheme} {HIDDEN}" if _is_value_of(scheme, text) else found[0]
    value = quoted.rstrip("\\")  # those of the quote that follows
    if not _is_quoted_value_of(scheme, value):
        return found[0]
    return f"{scheme}{blanks}{quote}{HIDDEN}{quoted[len(value) :]}"


def _is_quoted_value_of(scheme: str, text: str) -> bool:
    """Whether a quoted text is a credential, and not what follows a quoted name of a scheme."""
    words = text.split(maxsplit=1)
    if not words or text == HIDDEN or is_reference(text) or text[0] in ",;:+)]}":
        return False
    if text[0].isspace() or scheme.lower() == "basic":
        return _is_value_of(scheme, words[0])
    if scheme.lower() == "bearer":
        return not text.isalpha() or _AFTER_BEARER.match(text) is None
    return _NOT_BARE.search(text) is not None


def _is_value_of(scheme: str, text: str) -> bool:
    """Whether what follows the name of a scheme is a credential and no word of a sentence."""
    text = text.rstrip(".:!?)]}")
    if is_reference(f"{text}}}") or text == HIDDEN or len(text) < _SHORTEST_VALUE:
        return False
    if scheme.lower() == "basic":
        return _is_basic(text)
    if scheme.lower() != "bearer":
        return _NOT_BARE.search(text) is not None and not text.startswith("-")
    if _NOT_BARE.search(text):
        return True
    if len(text) > _LONGEST_WORD or not (text.islower() or text.istitle() or text.isupper()):
        return True
    return scheme != "bearer" and _AFTER_BEARER.match(text) is None


def _is_basic(text: str) -> bool:
    word = _BASE64.match(text)
    if word is None:
        return False
    if len(word[0]) > _SHORTEST_BASIC and re.search(r"[0-9=]", word[0]):
        return True
    try:
        return b":" in base64.b64decode(word[0] + "=" * (-len(word[0]) % 4), altchars=b"-_")
    except (binascii.Error, ValueError):
        return False


def _code(found: re.Match[str]) -> str:
    return found[0] if is_reference(found[2]) else f"{found[1]}{HIDDEN}"


def _token_run(found: re.Match[str]) -> str:
    """Hide a JSON Web Token and what is joined to it by dots."""
    before = ""
    for part, after in pairwise(found[0].split(".")):
        start = _token_start(part)
        if start is not None and after:
            return f"{before}{part[:start]}{HIDDEN}"
        before += f"{part}."
    return found[0]


def _token_start(part: str) -> int | None:
    """Return where the header of a token begins: base64 of a JSON object, with blanks or not."""
    for found in _TOKEN_START.finditer(part):
        octets = base64.urlsafe_b64decode(found[1][: len(found[1]) // 4 * 4])
        if _TOKEN_HEADER.match(octets):
            return found.start()
    return None
