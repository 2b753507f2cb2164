"""Takes credentials out of what a target sends back, however it spells them.

Targets echo requests in error pages: as they are, escaped for JSON, URLs or HTML, as hexadecimal
digits or in base64. A target that hides them on purpose is not hindered; it has them anyway.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

from jobfleet_contracts.credentials import HIDDEN, is_secret_name

SHORTEST = 4
"""Shorter values are not looked for: they would blank out ordinary text."""
LONGEST_SPELLING = 6
"""Characters that one may be spelled with: ``\\u0041``."""
_WITH_SCHEME = frozenset({"authorization", "proxy-authorization"})
_ESCAPING = 3
"""Escapes within escapes that are undone: JSON in JSON in a URL."""
_ESCAPE = re.compile(
    r"""\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\["'\\/bfnrt]|%[0-9A-Fa-f]{2}"""
    r"""|&(?:amp|lt|gt|quot|apos|#[0-9]{1,3}|#[xX][0-9A-Fa-f]{1,2});"""
)
_CUT_END = re.compile(r"""\.{3}|…|["']\s+\^""")
"""What follows on a text that aiohttp cut, and on what it had received of a line."""
_CUT_START = re.compile(r"""\bb["']""")
_CUTS = 100
"""Cuts that are looked at in one text."""
_ENDING = ".…\"'^ \n"
_HIDDEN_PLACE = re.compile(rb"\x01+")
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Redaction:
    """Replaces all spellings of some values by ``***``.

    Attributes:
        longest: characters that the longest spelling of a value may take.
    """

    def __init__(self, values: Iterable[str]) -> None:
        wanted = {value for value in values if len(value) >= SHORTEST}
        spelled = {form for value in wanted for form in _forms(value)}
        spelled |= {_unescape(form)[0] for form in spelled}
        self._needles = sorted((n for n in spelled if len(n) >= SHORTEST), key=len, reverse=True)
        self.longest = LONGEST_SPELLING * max(map(len, self._needles), default=0)

    def apply(self, text: str, *, is_cut: bool = False) -> str:
        """Return the text without the values.

        Takes time for each value and each character: large texts do not belong on an event loop.

        Args:
            is_cut: the text quotes pieces that were cut before. At their ends, parts of a value
                of four characters or more are replaced too.
        """
        if not self._needles:
            return text
        # One octet and one number for each character: lists of places would take hundreds of bytes.
        hidden = bytearray(len(text))
        plain, starts = text, array("L", range(len(text) + 1))
        for _ in range(1 + _ESCAPING):
            cut = self._find_cut(plain) if is_cut else ()
            for first, end in chain(self._find(plain), cut):
                length = starts[end] - starts[first]
                hidden[starts[first] : starts[end]] = b"\x01" * length
            unescaped, offsets = _unescape(plain)
            if unescaped == plain:
                break
            plain, starts = unescaped, array("L", (starts[each] for each in offsets))
        return _blank(text, hidden)

    def apply_to_name(self, name: str) -> str:
        """Return the name of a header without the values, in whatever case they are written.

        Servers and proxies change the case of names.
        """
        shown, folded = self.apply(name), name.lower()
        if shown != name or len(folded) != len(name):
            return shown
        hidden = bytearray(len(name))
        for needle in self._needles:
            for first, end in _places(needle.lower(), folded):
                hidden[first:end] = b"\x01" * (end - first)
        return _blank(name, hidden)

    def _find(self, text: str) -> Iterator[tuple[int, int]]:
        for needle in self._needles:
            yield from _places(needle, text)

    def _find_cut(self, text: str) -> Iterator[tuple[int, int]]:
        """Find beginnings of values where a piece of text ends, and ends where one begins."""
        ends = [found.start() for found in islice(_CUT_END.finditer(text), _CUTS)]
        for end in (*ends, len(text.rstrip(_ENDING))):
            for needle in self._needles:
                yield from _beginning_before(end, needle, text)
        for found in islice(_CUT_START.finditer(text), _CUTS):
            for needle in self._needles:
                yield from _end_behind(found.end(), needle, text)


def _places(needle: str, text: str) -> Iterator[tuple[int, int]]:
    at = text.find(needle)
    while at >= 0:
        yield at, at + len(needle)
        at = text.find(needle, at + len(needle))


def _beginning_before(end: int, needle: str, text: str) -> Iterator[tuple[int, int]]:
    """Return where the longest beginning of a value stands that ends there, if one does."""
    start = needle[:SHORTEST]
    at = text.find(start, max(0, end - len(needle)), end)
    while at >= 0:
        if needle.startswith(text[at:end]):
            yield at, end
            return
        at = text.find(start, at + 1, end)


def _end_behind(first: int, needle: str, text: str) -> Iterator[tuple[int, int]]:
    """Return where the longest end of a value stands that begins there, if one does."""
    end = text.rfind(needle[-SHORTEST:], first, first + len(needle))
    while end >= 0:
        if needle.endswith(text[first : end + SHORTEST]):
            yield first, end + SHORTEST
            return
        end = text.rfind(needle[-SHORTEST:], first, end + SHORTEST - 1)


def credentials_in(headers: Mapping[str, str]) -> Iterator[str]:
    """Return what is secret in the headers of a call, without the names of schemes."""
    for name, value in headers.items():
        if not is_secret_name(name):
            continue
        if name.lower() in _WITH_SCHEME:
            yield from _after_scheme(value)
        elif name.lower() == "cookie":
            yield from (each.partition("=")[2].strip() for each in value.split(";"))
        else:
            yield value


def _after_scheme(value: str) -> Iterator[str]:
    scheme, _, rest = value.partition(" ")
    yield rest.strip() or scheme
    if scheme.lower() != "basic":
        return
    try:
        pair = base64.b64decode(rest.strip() + "=" * (-len(rest.strip()) % 4)).decode()
    except (binascii.Error, ValueError):
        return
    yield pair
    yield pair.partition(":")[2]


def _forms(value: str) -> Iterator[str]:
    """Return the spellings that are not escapes of single characters."""
    octets = value.encode()
    yield value
    yield value.replace(" ", "+")
    yield octets.decode("latin-1")
    yield octets.hex()
    yield octets.hex().upper()
    yield from _base64_forms(octets)


def _base64_forms(octets: bytes) -> Iterator[str]:
    """Return what stays the same of a value in base64 wherever in a text it stands.

    Base64 maps three bytes to four characters, so there are three positions. Characters at both
    ends that neighbours have part in are left out.
    """
    for before in range(3):
        text = base64.b64encode(b"\0" * before + octets)
        first = -(-before * 8 // 6)
        last = (before + len(octets)) * 8 // 6
        core = text[first:last].decode()
        if len(core) > SHORTEST:
            yield core
            yield core.translate(str.maketrans("+/", "-_"))


def _unescape(text: str) -> tuple[str, array[int]]:
    """Return the text without its escapes, and where each character of it began.

    The last offset is the end of the text.
    """
    pieces: list[str] = []
    offsets = array("L")
    at = 0
    for escape in _ESCAPE.finditer(text):
        pieces += (text[at : escape.start()], _meant(escape[0]))
        offsets.extend(range(at, escape.start() + 1))
        at = escape.end()
    pieces.append(text[at:])
    offsets.extend(range(at, len(text) + 1))
    return "".join(pieces), offsets


def _meant(escape: str) -> str:
    """Return the one character that an escape stands for."""
    if escape[0] == "%":
        return chr(int(escape[1:], 16))
    if escape[0] == "&":
        return html.unescape(escape)
    letter, digits = escape[1], escape[2:]
    return chr(int(digits, 16)) if digits else _CONTROLS.get(letter, letter)


def _blank(text: str, hidden: bytearray) -> str:
    """Replace the hidden places; those that touch or overlap are one."""
    pieces: list[str] = []
    at = 0
    for place in _HIDDEN_PLACE.finditer(hidden):
        pieces += (text[at : place.start()], HIDDEN)
        at = place.end()
    return "".join([*pieces, text[at:]])
