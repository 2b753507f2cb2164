"""Where a value in a text ends: quoted texts, brackets, lines, blocks and elements.

A search that goes on without a limit is remembered: from where, and what it found. The next one
that begins in between takes that. So all searches of one text take a time that grows with it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property
from typing import NamedTuple

# A run of backslashes is looked at from its first one: each of 100,000 must not look at the rest.
_QUOTE = re.compile(r"""(?<!\\)(\\*)(["'`])""")
_BRACKET = re.compile(r"""[\[{(]|[\])}]|(?<!\\)\\{0,15}["']""")
_REFERENCES = re.compile(r"(?:\$\{secret:[A-Za-z0-9_]{1,100}\})+")
_LINE_END = re.compile(r"[\r\n]|$")
_WORD_END = re.compile(r"(?<!\\)\s|$")
_ARGUMENT_END = re.compile(r"(?<!\\)\s|[&;#\"'<>]|$")
_CLOSES = r"[)\]}](?=[\s,.;:)\]}\"'`]|$)"
_NEXT = {
    "=": r"[ \t&;,]{1,20}+[\w.$-]{1,100}+[ \t]{0,20}+=(?!=)",
    ":": r""",\s{0,20}+\\{0,15}["']?[\w.$-]{1,100}+\\{0,15}["']?\s{0,20}+:""",
}
_BARE = {
    ("=", "line"): re.compile(rf"{_NEXT['=']}|[\r\n]|$"),
    ("=", "flow"): re.compile(rf"{_NEXT['=']}|{_CLOSES}|[\r\n]|$"),
    (":", "line"): re.compile(r"[\r\n]|$"),
    (":", "flow"): re.compile(rf"{_NEXT[':']}|{_CLOSES}|[\r\n]|$"),
}
for _quote in ("'", '"', "`"):
    _BARE["=", _quote] = re.compile(rf"{_NEXT['=']}|(?<!\\)\\*{_quote}|[\r\n]|$")
    _BARE[":", _quote] = re.compile(rf"(?<!\\)\\*{_quote}|[\r\n]|$")
_BLOCK = re.compile(r"[ \t]{0,20}(?:[|>][0-9+-]{0,2}[ \t]{0,20})?\r?\n")
_BLOCK_LINE = re.compile(r"([ \t]*)[^\r\n]*(?:\r?\n)?")
_CONTINUED = re.compile(r"\r?\n([ \t]*)([^\r\n]*)")
_TAG_END = re.compile(r"[<>]")
_LONGEST_TAG = 2000
_TAG = re.compile(r"<(/?)(?:[\w.-]{1,80}+:)?([\w.-]{1,200}+)")
_CONTENT = re.compile(r"[\w\"'$!@#+=]")
_CONTENT_END = re.compile(r"[<\r\n]|$")
_VALUE_ATTRIBUTE = re.compile(r"\bvalue\s{0,20}=", re.IGNORECASE)
_CELL_END = re.compile(r"</(?:td|dd)|$(?!\n)", re.IGNORECASE)
_MEMBER = re.compile(
    r"""\s{0,20}(?P<quote>\\{0,15}["'`]?)(?P<name>[\w$@.-]{1,200}+)(?P=quote)\s{0,20}(?::|=>?)\s{0,20}"""
    r"""(?:[bBrRuUfF]{1,2}(?=["']))?(?:(?P<opening>\\{0,15}["'`])|(?P<bare>\[[^\[\]{}]{0,1000}\]|[^\s"'`{}\[\],][^"'`{}\[\],\r\n]{0,1000}))"""
)
_MOST_MEMBERS = 8
_TRIPLE = ('"""', "'''")
_CDATA = "<![CDATA["
_CDATA_END = re.compile(r"\]\]>|$(?!\n)")
_NEXT_TAG = re.compile(r"<|$(?!\n)")
_NO_BLANK = re.compile(r"\S")


class Member(NamedTuple):
    """One member of an object in a text, and where its value stands."""

    name: str
    first: int
    end: int


class Extents:
    """Finds ends in one text.

    Attributes:
        steps: characters that all searches so far have looked at.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._matches: dict[re.Pattern[str], tuple[int, re.Match[str] | None]] = {}
        self._closings: dict[str, tuple[int, int | None]] = {}
        self.steps = 0

    def _next(self, pattern: re.Pattern[str], at: int) -> re.Match[str] | None:
        """Return the first match that begins at ``at`` or later, ``None`` if there is none."""
        since, found = self._matches.get(pattern, (at + 1, None))
        if since <= at and (found is None or at <= found.start()):
            return found
        found = pattern.search(self._text, at)
        self._matches[pattern] = at, found
        self._count(at, None if found is None else found.end())
        return found

    def _next_start(self, pattern: re.Pattern[str], at: int) -> int:
        found = self._next(pattern, at)
        return len(self._text) if found is None else found.start()

    def _count(self, at: int, end: int | None) -> None:
        self.steps += (len(self._text) if end is None else end) - at

    def closing(self, opening: str, at: int) -> int | None:
        """Return where a quoted text ends that begins at ``at``; ``None`` if it does not.

        Quotes within it have more backslashes than the opening one: ``\\"`` within ``"``.
        """
        since, end = self._closings.get(opening, (at + 1, None))
        if since <= at and (end is None or at <= end):
            return end
        end = self._search_closing(opening, at)
        self._closings[opening] = at, end
        self._count(at, end)
        return end

    def _search_closing(self, opening: str, at: int) -> int | None:
        if opening in _TRIPLE:
            end = self._text.find(opening, at)
            return None if end < 0 else end
        escapes = len(opening) - 1
        for found in _QUOTE.finditer(self._text, at):
            if found[2] != opening[-1]:
                continue
            number = len(found[1])
            if number < escapes:
                return found.start()
            if number % (2 * (escapes + 1)) == escapes:
                return found.end() - len(opening)
        return None

    def end_of_quoted(self, opening: str, at: int) -> int:
        """Return where a quoted value ends, its further parts as in ``'it''s'`` included."""
        end = self.closing(opening, at)
        while end is not None:
            after = end + len(opening)
            glued = next((g for g in (opening, "\\''") if self._text.startswith(g, after)), None)
            if glued is None or (further := self.closing(opening, after + len(glued))) is None:
                return end
            end = further
        return len(self._text)

    def end_of_structure(self, at: int) -> int:
        """Return where the bracket at ``at`` is closed, or the end of the text."""
        depth, place = 0, at
        while (found := _BRACKET.search(self._text, place)) is not None:
            self._count(place, found.end())
            place = found.end()
            sign = found[0][-1]
            if sign in "[{(":
                depth += 1
            elif sign in "])}":
                depth -= 1
                if depth == 0:
                    return place
            elif (end := self.closing(found[0], place)) is not None:
                place = end + len(found[0])
        self._count(place, None)
        return len(self._text)

    def end_of_bare(self, at: int, sign: str, lead: str) -> int:
        """Return where a value without quotes ends: at the next pair, bracket, quote or line."""
        references = _REFERENCES.match(self._text, at)
        if references is not None:
            at = references.end()
        return self._next_start(_BARE[sign, lead or "line"], at)

    def end_of_line(self, at: int) -> int:
        """Return where the line ends."""
        return self._next_start(_LINE_END, at)

    def end_of_word(self, at: int) -> int:
        """Return where the next blank stands."""
        return self._next_start(_WORD_END, at)

    def end_of_argument(self, at: int) -> int:
        """Return where the next blank, quote or sign between parameters stands."""
        return self._next_start(_ARGUMENT_END, at)

    def block(self, start: int, at: int) -> tuple[int, int] | None:
        """Return the lines below that are indented deeper than the name at ``start``.

        ``None`` if something else than the mark of a block stands behind the separator.
        """
        opens = _BLOCK.match(self._text, at)
        if opens is None:
            return None
        line = self._begin_of_line(start)
        place = end = opens.end()
        while place < len(self._text):
            found = _BLOCK_LINE.match(self._text, place)
            if found is None or not found[0]:
                break
            self._count(place, found.end())
            if found[0].strip():
                depth, is_item = len(found[1]) - (start - line), found[0].lstrip().startswith("- ")
                if depth < 0 or (depth == 0 and not is_item):
                    break
                end = place + len(found[0].rstrip("\r\n"))
            place = found.end()
        return opens.end(), end

    def _begin_of_line(self, start: int) -> int:
        return self._text.rfind("\n", max(0, start - 200), start) + 1 or max(0, start - 200)

    def continued(self, start: int, end: int) -> int:
        """Return where a value ends that goes on below the line that ends at ``end``.

        Lines go on with it that are indented deeper than its name at ``start``, as of a folded
        header, and one behind a backslash.
        """
        indent = start - self._begin_of_line(start)
        while (found := _CONTINUED.match(self._text, end)) is not None:
            deeper = found[2].strip() and len(found[1]) > indent
            if not deeper and self._text[end - 1] != "\\":
                break
            self._count(end, found.end())
            end = found.end()
        return end

    def end_of_cell(self, at: int) -> int:
        """Return where the cell of a table in HTML ends."""
        return self._next_start(_CELL_END, at)

    def members(self, at: int) -> list[Member]:
        """Return the first members of the object that begins at ``at``, up to the first nested one.

        Lists of plain values count as values.
        """
        found: list[Member] = []
        text, sign = self._text, "{"
        while len(found) < _MOST_MEMBERS and text[at : at + 1] == sign:
            member = _MEMBER.match(text, at + 1)
            if member is None:
                break
            self._count(at, member.end())
            if (opening := member["opening"]) is None:
                first, end = member.span("bare")
                at = end
            else:
                first = member.end()
                closing = self.closing(opening, first)
                end = len(text) if closing is None else closing
                at = end + len(opening)
            found.append(Member(member["name"], first, end))
            at, sign = at + len(text[at : at + 20]) - len(text[at : at + 20].lstrip()), ","
        return found

    def element(self, start: int, at: int) -> tuple[int, int] | None:
        """Return the content of the element whose name begins at ``start`` and ends at ``at``.

        ``None`` if this is not an element's tag. One that nothing closes holds the rest of a line.
        """
        first = self._end_of_tag(at)
        if first is None:
            return None
        if self._is_empty(first):
            return first, first
        opens, closes = self._tags.get(self._text[start:at], ([], []))
        nearest = bisect_left(closes, first)
        if nearest < len(closes):
            inner = bisect_left(opens, closes[nearest]) - bisect_left(opens, first)
            return first, closes[min(nearest + max(inner, 0), len(closes) - 1)]
        if _CONTENT.match(self._text, first) is None:
            return None
        return first, self._next_start(_CONTENT_END, first)

    def content_of_tag(self, start: int, at: int) -> tuple[int, int] | None:
        """Return the text after the tag in which an attribute stands, as ``<a name="…">text``."""
        before = self._text[max(0, start - 500) : start]
        if before.rfind("<") <= before.rfind(">"):
            return None
        first = self._end_of_tag(at)
        if first is None or self._is_empty(first) or self._next_start(_VALUE_ATTRIBUTE, at) < first:
            return None
        mark = _NEXT_TAG
        if self._text.startswith(_CDATA, first):
            first, mark = first + len(_CDATA), _CDATA_END
        end = self._next_start(mark, first)
        return (first, end) if self._next_start(_NO_BLANK, first) < end else None

    def _end_of_tag(self, at: int) -> int | None:
        """Return the place behind the tag that goes on at ``at``; ``None`` if it does not end."""
        found = self._next(_TAG_END, at)
        ends = found is not None and found[0] == ">" and found.start() <= at + _LONGEST_TAG
        return found.end() if found is not None and ends else None

    def _is_empty(self, end: int) -> bool:
        """Whether the tag that ends before ``end`` is that of an element without content."""
        return self._text[end - 2 : end] == "/>"

    @cached_property
    def _tags(self) -> dict[str, tuple[list[int], list[int]]]:
        """Where elements of each name open and close."""
        found: dict[str, tuple[list[int], list[int]]] = {}
        for tag in _TAG.finditer(self._text):
            opens, closes = found.setdefault(tag[2], ([], []))
            (closes if tag[1] else opens).append(tag.start())
        return found
