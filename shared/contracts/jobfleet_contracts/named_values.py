"""Hides values in a text whose names say that they are credentials.

One grammar for all notations: a name, a separator, a value. Names are decided by
:mod:`jobfleet_contracts.secret_names`; here stands only where a value begins and ends.

=============== ==========================================================================
separator       as in
=============== ==========================================================================
``=`` ``:=`` ``=>``  ``_password=X``, ``$password = X``, ``'key' => 'X'``, ``user[pin]=X``
``==`` ``+=`` ``!=``  ``password == X``, and what else ends in ``=``
``->``          ``password -> X``, with blanks
``:``           ``X-Api-Key: X``, ``password : X``, JSON (also escaped), YAML with its blocks
``,``           ``["API key", "X"]``, ``("Cookie", "X")``, ``["--password", "X"]``
blank           ``--password X``
``>``           ``<ns:password>X</ns:password>``, whatever stands between the two tags
cell            ``<td>password</td><td>X</td>``, ``<dt>password</dt><dd>X</dd>``
=============== ==========================================================================

A label names the value beside it, in each of these notations and in either order:
``{"Name": "X-Api-Key", "Value": "X"}``, ``<add value="X" key="password"/>``. In an object with one
or two further values it names these, whatever they are called: ``{"name": "password", "data": X}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from jobfleet_contracts.credential_forms import is_reference
from jobfleet_contracts.kept_parts import HIDDEN
from jobfleet_contracts.pair_labels import named_beside_label
from jobfleet_contracts.plain_words import is_answer, is_object_key, is_plain_word
from jobfleet_contracts.secret_names import (
    MAX_NAME,
    SCHEMES,
    NameRole,
    is_count_name,
    is_label,
    is_value_name,
    role_of,
)
from jobfleet_contracts.text_extents import Extents
from jobfleet_contracts.text_names import Name

_TOKEN = re.compile(
    r"""\$\{secret:[A-Za-z0-9_]{1,100}\}|[{}]|/>|[\w$][\w$.-]*|[:=,\[(]>?\s{0,20}\\{0,15}["']"""
)
_INLINE = r"(?:b|i|u|em|strong|code|span|label|a|font|small|kbd|var|tt|samp|mark)"
_SEPARATOR = re.compile(
    rf"""(?:\[[^\[\]\r\n]{{0,40}}\]){{0,3}}\]{{0,3}}/?(?P<quote>\\{{0,15}}["'`]?)(?:</{_INLINE}>){{0,3}}"""
    rf"""[\[\])*]{{0,4}}(?P<gap>\s{{0,20}})(?:\([^()\r\n]{{1,40}}\)\s{{0,5}})?"""
    rf"""(?P<sign>(?i:[:=]?\s{{0,20}}(?:</{_INLINE}>){{0,3}}</(?:td|th|dt)>\s{{0,20}}<(?:td|dd)(?:\s[^<>]{{0,200}})?>)"""
    r"""|[:?+|.&!~^*/%-]{0,2}={1,3}[>~]?(?!=)|:(?!:|//)|,|(?<=\s)->(?=\s))"""
    r"""(?:\*\*(?=[ \t]))?(?P<after>\s{0,20})"""
)
_TAGS = re.compile(rf"(?:</?{_INLINE}(?:[ ][^<>]{{0,200}})?>[ \t]{{0,20}}){{1,6}}", re.IGNORECASE)
"""Tags between a sign and its value, as in ``<b>password:</b> <code>X</code>``."""
_OPTION = re.compile(r"""[ \t]{1,20}(?=["']|[^\s"'-])""")
_OPENING = re.compile(r"""(?:[bBrRuUfF]{1,2}(?=["']))?("{3}|'{3}|\\{0,15}["'`])""")
_COLUMNS = re.compile(r"[ ]\([^()\r\n]{1,200}\)=\(")
"""As in PostgreSQL's ``Key (id)=(5) already exists.``"""
_LABEL_TEXT = re.compile(
    r"""\\{0,15}["'`]?((?:[\w$@.:/ -]|\[[\w$.-]{0,40}\]){1,200}+)"""
    r"""[ \t]{0,20}(?=\\{0,15}["'`]|[,;&<>}\])\r\n]|$)"""
)
_SCHEME_BEFORE = re.compile(rf"(?i:{SCHEMES})(?:\\?[ ]){{1,3}}(?=[^\s&;#<>])")
_SCHEME = re.compile(SCHEMES, re.IGNORECASE)
_LIST_GOES_ON = re.compile(r"\s{0,20},\s{0,20}")
_LIST_ENDS = re.compile(r"\s{0,20}(?:[\])]|$)")
_STARTS_A_LINE = frozenset({"", "export", "set", "-", "#", "$"})
_CONSTANTS = frozenset({"", "null", "none", "true", "false"})
_NUMBER = re.compile(r"-?[0-9.]{1,40}")
_LONGEST_PLAIN = 1000
_MOST_STEPS = 20
"""Characters looked at for each one of a text. Ordinary texts take less than two: the limit is a
last defence against a text made to take long. What is left of such a text is hidden."""


class _Separator(NamedTuple):
    """What stands between a name and its value, and where the value begins."""

    sign: str
    at: int
    quoted: bool
    joined: bool


@dataclass(slots=True)
class _Pair:
    """What is known of labels and values in one object of the text.

    Attributes:
        label: name of the label that names a credential, as ``Name``; ``None`` for none yet.
        last: name of the label before, whatever it names.
        value: how to find the extent of a value that came before the label of a credential, and
            the label before it.
        shown: where a text after ``key`` begins: a credential, unless a value follows.
        of_element: the label is the text of an element, and no attribute.
        opens: where the object begins, ``None`` once its members were looked at.
    """

    label: str | None = None
    last: str | None = None
    value: tuple[Callable[[], tuple[int, int]], str | None] | None = None
    shown: int | None = None
    of_element: bool = False
    opens: int | None = None


def without_named_values(text: str) -> str:
    """Return a text with the values hidden that follow the names of credentials."""
    return Scan(text).masked()


class Scan:
    """One pass over a text: what searches have found is remembered, and no place is passed twice.

    What is hidden is not looked into, unless it stands behind its label: that is looked at first.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._extents = Extents(text)
        self._name = Name(text)
        self._hidden: dict[int, tuple[int, str]] = {}
        self._at = self._inside = 0
        self._pairs = [_Pair()]

    @property
    def steps(self) -> int:
        """Return how many characters the searches looked at, each time they did."""
        return self._extents.steps

    def masked(self) -> str:
        """Return the text with the values of credentials hidden."""
        before: re.Match[str] | None = None
        most = _MOST_STEPS * (len(self._text) + 100)
        for found in _TOKEN.finditer(self._text):
            if self.steps > most:
                self._hidden[found.start()] = (len(self._text), HIDDEN)
                break
            word = found[0]
            if word in ("{", "}", "/>"):
                if found.start() >= max(self._at, self._inside):
                    self._enter_or_leave(word, found.start())
            elif word[-1] in ("'", '"'):
                self._enter_text(found)
                continue
            elif not word.startswith("${"):
                self._name.take(found)
                role = role_of(self._name.word)
                if found.start() >= self._at and (role is not None or self._name.several):
                    self._look_at(found, before, role)
            before = found
        return self._without_hidden()

    def _enter_text(self, found: re.Match[str]) -> None:
        """Note where a quoted value or item ends: brackets in it belong to no object."""
        if found.start() >= max(self._at, self._inside):
            opening = found[0].lstrip(":=,[(> \t\r\n\f\v")
            self._inside = self._extents.closing(opening, found.end()) or self._inside

    def _enter_or_leave(self, sign: str, at: int) -> None:
        if sign == "{":
            self._pairs.append(_Pair(opens=at))
        elif sign == "/>" and self._pairs[-1].of_element:
            pass  # an element between those of a label and its value: <description/>
        elif sign == "/>" or len(self._pairs) == 1:
            self._pairs[-1] = _Pair()
        else:
            self._pairs.pop()

    def _look_at(
        self, found: re.Match[str], before: re.Match[str] | None, role: NameRole | None
    ) -> None:
        if found[0] == "Key" and _COLUMNS.match(self._text, found.end()):
            return
        if self._is_tag(found, before):
            if role is not None:
                self._look_at_element(found, role)
            return
        separator = self._separator_after(found)
        if separator is None or (role := self._name.role() or role) is None:
            return
        start = self._start_of_name(separator) if role.secret else None
        label = _LABEL_TEXT.match(self._text, separator.at) if role.label else None
        if label is not None and separator.sign not in ", " and start in (None, found.start()):
            self._take_label(found, label, separator, hides=start is not None)
        elif start is not None:
            self._hide_value(start, found, separator)
        elif role.value and separator.sign != ",":
            self._take_value(found, separator)

    # Names and separators

    def _separator_after(self, found: re.Match[str]) -> _Separator | None:
        text = self._text
        match = _SEPARATOR.match(text, found.end())
        if match is None:
            return self._option_after(found)
        quoted = match["quote"][-1:] in ("'", '"', "`") and match["quote"] != ""
        blanks = match["after"]
        if not quoted:
            if match["sign"] == "," or "\n" in match["gap"]:
                return self._option_after(found)
            blanks = blanks[: len(blanks) - len(blanks.lstrip(" \t"))]
        at = match.start("after") + len(blanks)
        joined = not quoted and blanks == ""
        if match["sign"] != "," and (tags := _TAGS.match(text, at)) is not None:
            joined = joined and text[tags.end() - 1] == ">"
            at = tags.end()
        return _Separator(match["sign"], at, quoted, joined)

    def _start_of_name(self, separator: _Separator) -> int | None:
        """Return where the name of a value begins, ``None`` if it names no credential here."""
        colon = separator.sign == ":" and not separator.quoted
        return self._name.start_of_credential(separator.at, colon=colon, joined=separator.joined)

    def _option_after(self, found: re.Match[str]) -> _Separator | None:
        start = self._name.start
        dashes = self._text[max(0, start - 2) : start]
        before = self._text[max(0, start - 3) : start].rstrip("-")[-1:]
        if not dashes.endswith("-") or before.strip().strip("\"'`>"):
            return None
        match = _OPTION.match(self._text, found.end())
        return None if match is None else _Separator(" ", match.end(), quoted=False, joined=False)

    # Values

    def _hide_value(self, start: int, found: re.Match[str], separator: _Separator) -> None:
        if separator.sign == ",":
            of_list = self._of_list(found, separator)
            if of_list is None:
                return
            separator = of_list
        first, end = self._value(start, separator)
        if self._is_no_value(found, separator, first, end):
            return
        if not separator.quoted and self._lead(start) == "line":
            end = self._extents.continued(start, end)
        self._hide(first, end, counts=is_count_name(found[0]))

    def _is_no_value(
        self, found: re.Match[str], separator: _Separator, first: int, end: int
    ) -> bool:
        """Whether a text is plainly none: ``session: timed out``, ``"Key": "imports/2026.csv"``."""
        if end - first > _LONGEST_PLAIN:
            return False
        text = self._text[first:end]
        if found[0] == "Key":
            return separator.quoted and is_object_key(text)
        if separator.quoted or self._text[first - 1 : first] in ("'", '"', "`"):
            return False
        if separator.sign not in (":", "->"):
            return False
        if self._name.is_absolute and (separator.sign == "->" or text[:1] != "/"):
            return is_answer(text) or is_plain_word(text)
        return is_plain_word(text)

    def _value(self, start: int, separator: _Separator) -> tuple[int, int]:
        """Return begin and end of what follows a name that begins at ``start``."""
        text, extents, at = self._text, self._extents, separator.at
        lead = self._lead(start)
        if separator.sign == ":" and not separator.quoted and lead in ("line", ""):
            return self._rest_of_line(start, at, lead, joined=separator.joined)
        if not separator.quoted and text[at : at + 1] == lead:
            return at, at  # the closing quote of a text that ends with the separator
        if "<" in separator.sign:
            return at, extents.end_of_cell(at)
        opening = _OPENING.match(text, at)
        if opening is not None:
            return opening.end(), extents.end_of_quoted(opening[1], opening.end())
        if text[at : at + 1] in ("{", "[", "(") and separator.sign != " ":
            return at, extents.end_of_structure(at)
        if separator.quoted:
            lead = "flow"
        behind = self._behind_scheme(at)
        if separator.sign == " " or (separator.sign != ":" and lead == ""):
            return at, extents.end_of_argument(behind)
        return at, extents.end_of_bare(behind, ":" if separator.sign == ":" else "=", lead)

    def _behind_scheme(self, at: int) -> int:
        """Return the place behind a scheme, as ``Bearer``, and behind quotes that follow it."""
        scheme = _SCHEME_BEFORE.match(self._text, at)
        if scheme is None:
            return at
        opening = _OPENING.match(self._text, scheme.end())
        if opening is None:
            return scheme.end()
        return self._extents.end_of_quoted(opening[1], opening.end()) + len(opening[1])

    def _lead(self, start: int) -> str:
        """Return how a name is led in: a quote, ``line``, ``flow`` (brackets, commas) or ""."""
        begin = max(0, start - 120)
        before = self._text[begin:start].rstrip("$@_-*")
        if before[-1:] in ("'", '"', "`"):
            return before[-1]
        line = before[max(before.rfind("\n"), before.rfind("\r")) + 1 :]
        whole = begin == 0 or len(line) < len(before)
        if (whole and line.strip(" \t$@_-*") in _STARTS_A_LINE) or line.rstrip(" \t")[-1:] == ";":
            return "line"
        return "flow" if before.rstrip(" \t\r\n")[-1:] in ("{", "[", "(", ",") else ""

    def _rest_of_line(self, start: int, at: int, lead: str, *, joined: bool) -> tuple[int, int]:
        """Return the rest of the line, a joined word, or the lines of a block below."""
        extents, end = self._extents, at
        if lead == "line" and (block := extents.block(start, at)) is not None:
            return block
        opening = _OPENING.match(self._text, at)
        if opening is not None:
            end = extents.closing(opening[1], opening.end()) or at
        elif self._text[at : at + 1] in ("{", "["):
            end = extents.end_of_structure(at)
        else:
            end = self._behind_scheme(at)
        is_word = joined and lead == ""
        return at, extents.end_of_word(end) if is_word else extents.end_of_line(end)

    def _of_list(self, found: re.Match[str], separator: _Separator) -> _Separator | None:
        """Return the place of the value in ``["name", "value"]``; ``None`` for another list."""
        text = self._text
        before = text[max(0, found.start() - 60) : found.start()]
        quote = max(before.rfind("'"), before.rfind('"'), before.rfind("`"))
        if quote < 0:
            return None
        is_option = before[quote + 1 :].startswith("-")
        opens = before[:quote].rstrip("bBrRuU\\ \t\r\n")[-1:]
        if opens not in ("[", "(") and not is_option:
            return None
        opening = _OPENING.match(text, separator.at)
        if opening is None:
            return separator if text[separator.at : separator.at + 1] in ("{", "[") else None
        end = self._extents.closing(opening[1], opening.end())
        if end is None or is_option:
            return separator
        after = end + len(opening[1])
        if _SCHEME.fullmatch(text, opening.end(), end) and (
            goes_on := _LIST_GOES_ON.match(text, after)
        ):
            return separator._replace(at=goes_on.end())
        return separator if _LIST_ENDS.match(text, after) else None

    # Labels

    def _take_label(
        self, found: re.Match[str], label: re.Match[str], separator: _Separator, *, hides: bool
    ) -> None:
        content = self._extents.content_of_tag(found.start(), label.end())
        is_secret = is_label(label[1])
        if content is not None and is_secret:
            self._hide_ahead(*content)
        elif content is None:
            extent = self._value(found.start(), separator) if hides else None
            if extent is not None and self._is_no_value(found, separator, *extent):
                extent = None
            self._note_label(found[0].lower(), extent, is_secret=is_secret)

    def _note_label(self, name: str, extent: tuple[int, int] | None, *, is_secret: bool) -> None:
        """Note a label; ``extent`` is its text, if that is a credential unless a value follows."""
        pair = self._pairs[-1]
        if is_secret:
            if pair.value is not None and pair.value[1] != name:
                self._hide(*pair.value[0]())
            pair.label, pair.of_element = name, False
            if self._hide_members(pair):
                return
        elif pair.label == name:
            pair.label = None
        if extent is not None and pair.value is None and extent[0] not in self._hidden:
            self._hidden[extent[0]] = (extent[1], HIDDEN)
            pair.shown = extent[0]
        pair.last = name

    def _hide_members(self, pair: _Pair) -> bool:
        """Hide the one or two other values of an object with a label; return whether it did."""
        if pair.opens is None:
            return False
        found = self._extents.members(pair.opens)
        pair.opens = None
        if any(is_value_name(each.name) for each in found):
            return False
        members = [(each.name, self._text[each.first : each.end]) for each in found]
        named = named_beside_label(members)
        for place in named:
            self._hide_ahead(found[place].first, found[place].end)
        return bool(named)

    def _take_value(self, found: re.Match[str], separator: _Separator) -> None:
        pair = self._show_label()
        if pair.label is not None:
            self._hide(*self._value(found.start(), separator))
            return
        pair.value = partial(self._value, found.start(), separator), pair.last

    def _show_label(self) -> _Pair:
        """Show the text after ``key``: a value follows, which it names."""
        pair = self._pairs[-1]
        if pair.shown is not None:
            self._hidden.pop(pair.shown, None)
            pair.shown = None
        return pair

    # Elements

    def _is_tag(self, found: re.Match[str], before: re.Match[str] | None) -> bool:
        text, start = self._text, found.start()
        if text[start - 1 : start] == ":" and before is not None and before.end() == start - 1:
            start = before.start()
        return start > 0 and text[start - 1] == "<"

    def _look_at_element(self, found: re.Match[str], role: NameRole) -> None:
        element = self._extents.element(found.start(), found.end())
        if element is None:
            return
        first, end = element
        text = self._text[first : min(end, first + MAX_NAME)].strip()
        if role.label and text and end - first <= MAX_NAME and "<" not in text:
            is_shown = _is_kept(text) or (found[0] == "Key" and is_object_key(text))
            extent = element if role.secret and not is_shown else None
            # Its attributes are looked at as well: <param name="password">X</param>.
            self._note_label(found[0].lower(), extent, is_secret=is_label(text))
            self._pairs[-1].of_element = is_label(text)
        elif role.secret:
            self._hide_element(found.end(), first, end)
        elif role.value and self._show_label().label is not None:
            self._hide(first, end)
        elif role.value:
            self._pairs[-1].value = lambda: element, self._pairs[-1].last
            self._inside = max(self._inside, end)

    def _hide_element(self, name_end: int, first: int, end: int) -> None:
        """Hide what an element holds, and its attributes."""
        attributes = self._text[name_end:first].strip("/> \t\r\n")
        content = self._text[first:end].strip()
        self._at = max(self._at, end)
        if _is_kept(content) if content else attributes in ("", HIDDEN):
            return
        if first == end and self._text[first - 2 : first] == "/>":
            self._hidden[name_end] = (first - 2, f" {HIDDEN}")
        else:
            self._hidden[name_end] = (end, f">{HIDDEN}")

    # What is hidden

    def _hide(self, first: int, end: int, *, counts: bool = False) -> None:
        self._hide_ahead(first, end, counts=counts)
        self._at = max(self._at, end)

    def _hide_ahead(self, first: int, end: int, *, counts: bool = False) -> None:
        """Hide a part, and go on looking at what stands before it: its label may hold one too."""
        text = self._text[first:end]
        if _is_kept(text) or (counts and _NUMBER.fullmatch(text.strip())):
            return
        self._hidden[first] = (end, HIDDEN)
        if self._pairs[-1].shown == first:
            self._pairs[-1].shown = None

    def _without_hidden(self) -> str:
        if not self._hidden:
            return self._text
        parts: list[str] = []
        at = 0
        for first, (end, instead) in sorted(self._hidden.items()):
            if first >= at:
                parts += (self._text[at:first], instead)
            at = max(at, end)
        return "".join([*parts, self._text[at:]])


def _is_kept(text: str) -> bool:
    bare = text.strip()
    return bare == HIDDEN or bare.lower() in _CONSTANTS or is_reference(bare)
