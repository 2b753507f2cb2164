"""Credentials that a submitter wrote into a job: needed to run it, shown to nobody.

One rule for everything that is shown: a value is hidden if its name says that it is a credential,
or if its text has the form of one. The documented place for a secret is ``${secret:NAME}`` in a
header: such a reference is shown, and the secret itself never reaches the job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import orjson

from jobfleet_contracts.encoded_value import is_encoded, key_in, label, labelled_text

HIDDEN = "***"

_MAX_TEXT_DEPTH = 40
"""Levels of the JSON texts within a value, texts within texts counted together. A deeper one is
hidden whole: taking it apart would use up the stack, and no answer could show the job."""

_LABELS = ("name", "key", "header", "field")
_VALUES = ("value", "values")
_SCHEMES = r"basic|bearer|digest|negotiate|token|apikey|sharedaccesssignature|hmac|aws4-hmac-sha256"

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
    # Our own field names.
    "lockkey|idempotencykey|fencingtoken|keyword|"
    # Keys that find something instead of opening it.
    "partitionkey|rowkey|sortkey|primarykey|foreignkey|publickey|routingkey|groupkey|cachekey|"
    "hashkey|rangekey|messagekey|orderkey|businesskey|objectkey|keyname|keytype|keyid|keyspace|"
    # Counts of a language model's tokens.
    "(max|min|num|total|input|output|prompt|completion|new|used)tokens|tokencount|tokenlimit|"
    # Other words.
    "tokenizer|secretary|secretariat|keyboard|keyframe|keynote|keypoint|keypress|keyphrase|"
    "monkey|donkey|turkey|hockey|jockey|whiskey"
)
_NO_CREDENTIAL = re.compile(r"(error|exception|warning)$")
_REFERENCE = re.compile(
    rf"((?:{_SCHEMES})\s+)?(?:\$\{{secret:[A-Za-z0-9_]{{1,100}}\}})+", re.IGNORECASE
)

# Every repetition is bounded or begins at a mark that stands once: a text of a megabyte must not
# take a time that grows with its square.
_USER_INFO = re.compile(
    r"(?<![A-Za-z0-9+.:/-])((?:[A-Za-z][A-Za-z0-9+.-]{0,30}:)?//)([^\s/?#'\"<>]{1,1000})@"
)
_ODD_USER_INFO = re.compile(
    # Clients read over tabs and line breaks in an address. A port is no password.
    r"""(?<![A-Za-z0-9+.:/-])((?:[A-Za-z][A-Za-z0-9+.-]{0,30}:[\t\r\n]{0,3})/[\t\r\n]{0,3}/)"""
    r"""([^ /?#@:'"<>\[]{0,100}:(?![0-9\t\r\n]{1,8}(?:[/?# \t\r\n]|$))[^ '"<>@]{0,200}"""
    r"""(?:@[^\s/?#'"<>@]{1,200}){0,3})@"""
)
_PAIR = re.compile(
    r"(?<![\w%.\[\]-])(-{0,2}[A-Za-z][\w.%\[\]-]{0,200})(=|[ \t]{1,3}=[ \t]{0,3}(?!=)|=[ \t]{1,3})"
    rf"(\"[^\"]*\"|'[^']*'|(?:(?i:{_SCHEMES})[ ])?[^&;#\s\"'<>]+)"
)
_QUOTED_PAIR = re.compile(
    r"""(\\{0,15}["'])([\w .-]{1,100})\1(\s*:\s*(?:[bBrRuU]{1,2}(?=["']))?)(\\{0,15}["'])"""
    r"""((?:(?!\4).)*)(\4|$)""",
    re.DOTALL,
)
_ATTRIBUTES = re.compile(
    r"""(\b(?:name|key)=["'])([\w.:-]{1,100})(["'][^<>]{0,100}?\bvalue=["'])([^"'<>]*)""",
    re.IGNORECASE,
)
_BARE_PAIR = re.compile(
    r"""(?<!\$\{(?=secret:[A-Za-z0-9_]{1,100}\}))"""  # a reference
    r"""((?<=[{,])\s{0,20})([\w-]{1,100})(:\s{0,20})"""
    r"""("[^"]*"|'[^']*'|(?![\s"'{\[])(?:\$\{secret:\w{1,100}\}|[^,}\n])+)"""
)
_USER_OPTION = re.compile(
    r"""((?<!\S)(?:-[uU]|--user|--proxy-user)[ =]?)"""
    r"""("[^":]{1,200}:[^"]*"|'[^':]{1,200}:[^']*'|[^\s:"']{1,200}:[^\s"']+)"""
)
_OPTION = re.compile(
    r"""(?<!\S)(-{1,2})([A-Za-z][\w-]{0,100})([ \t]{1,20})("[^"]*"|'[^']*'|[^\s"'-][^\s"']*)"""
)
_OPTION_NAME = re.compile(r"-{1,2}([A-Za-z][\w-]{0,100})")
_ENCODED_LINE = re.compile(
    r"""(?:(?<![\w%-])|(?<=%0[AaDd]))([A-Za-z][\w-]{0,100})(%3[Aa])"""
    r"""((?:(?!%0[AaDd])[^\s&;#"'<>])+)"""
)
_ENCODED_PAIR = re.compile(
    r"""(?:(?<![\w%-])|(?<=%[0-9A-Fa-f]{2})|(?<=%25[0-9A-Fa-f]{2}))([A-Za-z][\w-]{0,100})"""
    r"""(%(?:25)?3[Dd])((?:(?!%(?:25)?(?:0[AaDd]|20|26|3[Bb]|23))[^\s&;#"'<>])+)"""
)
_QUOTED_NAME = re.compile(r"""(\\{0,15}["'])([\w .-]{1,100})\1\s*:\s*(?=[\[{0-9])""")
_LABELLED = re.compile(
    r"""((?:["'](?:name|key|header|field)["']\s*:|[\[(])\s*["'])([\w.-]{1,100})"""
    rf"""(["']\s*,\s*(?:["']values?["']\s*:\s*)?(?:["'](?i:{_SCHEMES})["']\s*,\s*)?["'])"""
    r"""((?:[^"'\\]|\\.)*)"""
)
_HEADER_LINE = re.compile(r"^([ \t]{0,100}[A-Za-z][\w-]{0,200})(:[ \t]*)(\S.*)$", re.MULTILINE)
_QUOTED_LINE = re.compile(r"""(?<=["'])([A-Za-z][\w-]{0,100})(:[ \t]{0,20})([^"'\n]+)""")
# The colon ends the match: "failed: X-Api-Key: v" has two names, and the second one counts.
_NAME_WITHIN_LINE = re.compile(
    r"""(?<![\w%.'"/-])([A-Za-z][\w-]{0,100}):(?!:|//|[0-9]{1,5}(?!\w))(?=[ \t]{0,20}\S)"""
)
_JOINING_COLON = re.compile(r"(?<=\w):(?=\w)")
_LINE_BREAKS = re.compile(r"[\t\r\n]")
_WORD_BEHIND = re.compile(r"\S+")
_LINE_BEHIND = re.compile(r"[ \t]+.*")
_TAG = re.compile(
    r"<([A-Za-z][\w:.-]{0,200}+)([^<>]{0,1000}+)>"
    r"((?:\s{0,100}<!\[CDATA\[(?:(?!\]\]>|<!\[CDATA\[).)*\]\]>)|[^<>]+)\s{0,100}</",
    re.DOTALL,
)
_SCHEME = re.compile(
    r"\b(Bearer|Basic|Digest|Negotiate|SharedAccessSignature)\s+"
    r"(?=[^\s,;\"'<>]*[0-9=_+/.-])[^\s,;\"'<>]{6,}",
    re.IGNORECASE,
)
# A run begins where no such character stands before it: "eyJ-eyJ-eyJ" is looked through once.
_TOKEN_RUN = re.compile(r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_.-]*eyJ[A-Za-z0-9_.-]*")
_PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:(?!-----END).)*", re.DOTALL)
_TOKEN_START = re.compile(r"\beyJ[A-Za-z0-9_-]{8}")
_NAME_SIGNS = (
    "token", "secret", "key", "pass", "pwd", "jwt", "cookie", "sig", "cred", "auth", "connection",
    "csrf", "xsrf", "oidc", "cert", "hmac", "pin", "otp", "sas", "sid", "session", "bearer", "dpop",
    "saml",
)  # fmt: skip
"""Cheap test before the patterns: without one of these, nothing is a name of a credential."""
_TEXT_SIGNS = (
    "//",
    "/\t",
    "/\n",
    "/\r",
    "eyj",
    "bearer",
    "basic",
    "digest",
    "negotiate",
    "signature",
    "private key",
    "-u",
)
"""Likewise of what is hidden in a text by its form. ``code=`` and ``%`` count as names there."""


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a field, header or parameter of this name carries a credential."""
    lower = name.lower()
    if not _holds(lower, _NAME_SIGNS):
        return False
    words = [word.lower() for word in _PART.findall(name)]
    plain = "".join(words)
    if _NO_CREDENTIAL.search(plain):
        return False
    rest = _HARMLESS.sub("", plain)
    return any(mark in rest for mark in _MARKS) or any(map(_is_secret_word, words))


def masked(value: Any) -> Any:
    """Return a JSON value as it may be shown, at any depth; the value itself is left as it is."""
    return _masked(value, _MAX_TEXT_DEPTH)


def masked_text(text: str) -> str:
    """Return a text as it may be shown: user info, parameters, headers and tokens are hidden."""
    return _masked_text(text, _MAX_TEXT_DEPTH)


def _masked(value: Any, levels: int) -> Any:
    """Mask a value; JSON texts in it may have so many levels."""
    match value:
        case str():
            return _masked_text(value, levels)
        case Mapping() if is_encoded(value):
            return label(key_in(value))
        case Mapping():
            return _masked_object(value, levels)
        case list() | tuple():
            return _masked_list(value, levels)
        case _:
            return value


def _masked_text(text: str, levels: int) -> str:
    text = labelled_text(text)
    lower = text.lower()
    named = "code=" in lower or "%" in lower or _holds(lower, _NAME_SIGNS)
    if not named and not _holds(lower, _TEXT_SIGNS):
        return text
    if text[:1] in ("{", "[") and (inner := _masked_json(text, levels)) is not None:
        return inner
    shown = _without_user_info(text)
    if named:
        shown = _LABELLED.sub(_labelled, _without_open_value(shown))
        shown = _ATTRIBUTES.sub(_labelled, shown)
        shown = _QUOTED_PAIR.sub(_quoted, shown)
        shown = _HEADER_LINE.sub(_header_line, shown)
        shown = _QUOTED_LINE.sub(_header_line, shown)
        shown = _without_values_in_lines(shown)
        shown = _ENCODED_LINE.sub(_header_line, shown)
        shown = _ENCODED_PAIR.sub(_header_line, shown)
        shown = _BARE_PAIR.sub(_bare_pair, shown)
        shown = _PAIR.sub(_pair, shown)
        shown = _OPTION.sub(_option, shown)
        shown = _TAG.sub(_tag, shown)
    if "-u" in lower:
        shown = _USER_OPTION.sub(rf"\1{HIDDEN}", shown)
    return _without_tokens(shown)


def _holds(text: str, signs: Sequence[str]) -> bool:
    for sign in signs:  # noqa: SIM110 - any() takes twice as long; values have 100,000 texts
        if sign in text:
            return True
    return False


def holds_credential(text: str) -> bool:
    """Whether a part of a short text would be hidden.

    Colons without a blank, as in the lock key ``session:42``, join its parts: they name no value.
    """
    text = labelled_text(text)
    apart = _without_tokens(_without_user_info(text))
    joined = _JOINING_COLON.sub(".", apart)
    return apart != text or masked_text(joined) != joined


def user_info_in(value: Any, path: str) -> str | None:
    """Return the path of a text that is a URL with user info; ``None`` if there is none.

    A user alone, as in ``ssh://git@host``, is no credential; in a web address it is refused too.
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
    found = _USER_INFO.match(url) or _ODD_USER_INFO.match(url)
    return found is not None and found[1] != "//" and _is_credential_pair(found[1], found[2])


def _without_user_info(text: str) -> str:
    return _ODD_USER_INFO.sub(_user_info, _USER_INFO.sub(_user_info, text))


def _is_credential_pair(scheme: str, user_info: str) -> bool:
    return ":" in user_info or scheme.lower().startswith("http")


def _user_info(found: re.Match[str]) -> str:
    scheme, user_info = found.groups()
    return f"{scheme}{HIDDEN}@" if _is_credential_pair(scheme, user_info) else found[0]


def _is_secret_word(word: str) -> bool:
    if word in _WORDS:
        return True
    author = word.startswith("author") and not word.startswith(("authori", "authorz"))
    return word.startswith("auth") and not author and word not in ("authority", "authorities")


def _masked_object(value: Mapping[str, Any], levels: int) -> dict[str, Any]:
    labels = (value.get(label) for label in _LABELS if label in value)
    if any(_is_label(label) for label in labels):
        return {
            name: _hidden(item, levels) if name.lower() in _VALUES else _shown(name, item, levels)
            for name, item in value.items()
        }
    return {
        _shown_name(str(name), levels): _shown(str(name), item, levels)
        for name, item in value.items()
    }


def _shown_name(name: str, levels: int) -> str:
    return name if name.isalnum() else _masked_text(name, levels)


def _shown(name: str, item: Any, levels: int) -> Any:
    if name.lower() in _LABELS and _is_label(item):
        return item
    return _hidden(item, levels, name) if is_secret_name(name) else _masked(item, levels)


def _is_label(value: Any) -> bool:
    return isinstance(value, str) and " " not in value and is_secret_name(value)


def _masked_list(value: list[Any] | tuple[Any, ...], levels: int) -> list[Any]:
    match value:
        case [str() as name, item] if _is_label(name):
            return [name, _hidden(item, levels)]
        case [str() as name, str() as scheme, *rest] if _is_label(name) and _is_scheme(scheme):
            return [name, scheme, *(_hidden(item, levels) for item in rest)]
        case [first, *_]:
            return [
                _masked(first, levels),
                *(
                    _hidden(item, levels) if _is_secret_option(before) else _masked(item, levels)
                    for before, item in pairwise(value)
                ),
            ]
        case _:
            return []


def _is_scheme(text: str) -> bool:
    return re.fullmatch(_SCHEMES, text, re.IGNORECASE) is not None


def _is_secret_option(argument: Any) -> bool:
    """Whether an argument of a command is the option whose value, a credential, comes next."""
    option = _OPTION_NAME.fullmatch(argument) if isinstance(argument, str) else None
    return option is not None and is_secret_name(option[1])


def _hidden(value: Any, levels: int, name: str = "") -> Any:
    """Hide every text and number in a value that its name calls a credential."""
    match value:
        case None | bool():
            return value
        case str():
            return value if not value or _REFERENCE.fullmatch(value) else HIDDEN
        case Mapping():
            return {
                _masked_text(str(key), levels): _hidden(item, levels, key)
                for key, item in value.items()
            }
        case list() | tuple():
            return [_hidden(item, levels) for item in value]
        case _:
            # "tokens": 512 counts something.
            return value if name.lower().endswith("s") else HIDDEN


def _masked_json(text: str, levels: int) -> str | None:
    """Return a text that is JSON as it may be shown; ``None`` if it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    left = levels - _depth(value, levels)
    if left < 0:
        return HIDDEN
    shown = _masked(value, left)
    return text if shown == value else orjson.dumps(shown).decode()


def _depth(value: Any, most: int) -> int:
    """Return how many levels of objects and lists a value has, at most one more than ``most``."""
    layer, depth = [value], 0
    while layer and depth <= most:
        layer = [
            item
            for each in layer
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, dict | list)
        ]
        depth += 1
    return depth


def _without_tokens(text: str) -> str:
    shown = _PRIVATE_KEY.sub(rf"\1{HIDDEN}", text)
    return _TOKEN_RUN.sub(_token_run, _SCHEME.sub(rf"\1 {HIDDEN}", shown))


def _token_run(found: re.Match[str]) -> str:
    """Hide a JSON Web Token and what is joined to it by dots."""
    parts = found[0].split(".")
    before = ""
    for part, after in pairwise(parts):
        start = _TOKEN_START.search(part)
        if start is not None and after:
            return f"{before}{part[: start.start()]}{HIDDEN}"
        before += f"{part}."
    return found[0]


def _without_open_value(text: str) -> str:
    """Cut a text that is no whole JSON behind the name of a secret object, list or number."""
    for found in _QUOTED_NAME.finditer(text):
        if is_secret_name(found[2]):
            return text[: found.end()] + HIDDEN
    return text


def _labelled(found: re.Match[str]) -> str:
    before, name, between, text = found.groups()
    if not is_secret_name(name) or _is_kept(text):
        return found[0]
    return f"{before}{name}{between}{HIDDEN}"


def _is_kept(text: str) -> bool:
    return text == HIDDEN or _REFERENCE.fullmatch(text) is not None


def _quoted(found: re.Match[str]) -> str:
    mark, name, between, opening, text, end = found.groups()
    if not is_secret_name(name) or not text or _is_kept(text):
        return found[0]
    return f"{mark}{name}{mark}{between}{opening}{HIDDEN}{end}"


def _header_line(found: re.Match[str]) -> str:
    name, between, text = found.groups()
    if not is_secret_name(name.strip()) or _is_kept(text.strip()):
        return found[0]
    return f"{name}{between}{HIDDEN}"


def _without_values_in_lines(text: str) -> str:
    """Hide what follows ``Name:`` in the middle of a line: a word, or after a blank all of it."""
    parts, place = [], 0
    for found in _NAME_WITHIN_LINE.finditer(text):
        before = text[max(0, found.start() - 20) : found.start()].rstrip()
        # After "{" and "," _BARE_PAIR hides the value, and leaves the fields that follow.
        if found.start() < place or before.endswith(("{", ",")) or not is_secret_name(found[1]):
            continue
        behind = _WORD_BEHIND.match(text, found.end()) or _LINE_BEHIND.match(text, found.end())
        if behind is None or _is_kept(behind[0].strip()):
            continue
        blank = " " if behind[0][0] in " \t" else ""
        parts.append(f"{text[place : found.end()]}{blank}{HIDDEN}")
        place = behind.end()
    return "".join(parts) + text[place:]


def _bare_pair(found: re.Match[str]) -> str:
    before, name, between, text = found.groups()
    if not is_secret_name(name) or _is_kept(text.strip()):
        return found[0]
    return f"{before}{name}{between}{HIDDEN}"


def _pair(found: re.Match[str]) -> str:
    name = unquote(found[1])
    before = found.string[found.start() - 1 : found.start()]
    secret = is_secret_name(name) or (name.lower() == "code" and before in ("?", "&"))
    return f"{found[1]}{found[2]}{HIDDEN}" if secret and not _is_kept(found[3]) else found[0]


def _option(found: re.Match[str]) -> str:
    dashes, name, between, text = found.groups()
    if not is_secret_name(name) or _is_kept(text):
        return found[0]
    return f"{dashes}{name}{between}{HIDDEN}"


def _tag(found: re.Match[str]) -> str:
    name, attributes, text = found.groups()
    kept = not is_secret_name(name) or _is_kept(text.strip())
    return found[0] if kept else f"<{name}{attributes}>{HIDDEN}</"
