"""Where a value in a text ends: quoted texts, brackets, lines, blocks and elements.

Each search ends at the first place that counts, and what ends nowhere is looked for once: all
searches of one text together take a time that grows with the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property

_QUOTE = re.compile(r"""(\\*)(["'`])""")
_BRACKET = re.compile(r"""[\[{(]|[\])}]|\\*["']""")
_REFERENCES = re.compile(r"(?:\$\{secret:[A-Za-z0-9_]{1,100}\})+")
_LINE_END = re.compile(r"[\r\n]|$")
_WORD_END = re.compile(r"\s|$")
_CLOSES = r"[)\]}](?=[\s,.;:)\]}\"'`]|$)"
_NEXT = {
    "=": r"[ \t&;,]{1,20}+[\w.$-]{1,100}+[ \t]{0,20}+=(?!=)",
    ":": r""",\s{0,20}+\\{0,15}["']?[\w.$-]{1,100}+\\{0,15}["']?\s{0,20}+:""",
}
_BARE = {
    ("=", "line"): re.compile(rf"{_NEXT['=']}|[\r\n]|$"),
    ("=", "flow"): re.compile(rf"{_NEXT['=']}|{_CLOSES}|[\r\n]|$"),
    ("=", "quote"): re.compile(rf"""{_NEXT["="]}|\\*["'`]|[\r\n]|$"""),
    (":", "line"): re.compile(r"[\r\n]|$"),
    (":", "flow"): re.compile(rf"{_NEXT[':']}|{_CLOSES}|[\r\n]|$"),
    (":", "quote"): re.compile(r"""\\*["'`]|[\r\n]|$"""),
}
_BLOCK = re.compile(r"[ \t]{0,20}(?:[|>][0-9+-]{0,2}[ \t]{0,20})?\r?\n")
_BLOCK_LINE = re.compile(r"([ \t]*)[^\r\n]*(?:\r?\n)?")
_TAG_END = re.compile(r"[^<>]{0,2000}+>")
_TAG = re.compile(r"<(/?)(?:[\w.-]{1,80}+:)?([\w.-]{1,200}+)")
_CONTENT = re.compile(r"[\w\"'$!@#+=]")
_CONTENT_END = re.compile(r"[<\r\n]|$")
_VALUE_ATTRIBUTE = re.compile(r"\bvalue\s{0,20}=", re.IGNORECASE)
_TRIPLE = ('"""', "'''")
_CDATA = "<![CDATA["


class Extents:
    """Finds ends in one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._never_closed: set[str] = set()

    def closing(self, opening: str, at: int) -> int | None:
        """Return where a quoted text ends that begins at ``at``; ``None`` if it does not.

        Quotes within it have more backslashes than the opening one: ``\\"`` within ``"``.
        """
        if opening in self._never_closed:
            return None
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
        self._never_closed.add(opening)
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
        return len(self._text)

    def end_of_bare(self, at: int, sign: str, lead: str) -> int:
        """Return where a value without quotes ends: at the next pair, bracket, quote or line."""
        quote = lead if lead in ("'", '"', "`") else ""
        pattern = _BARE[sign, "quote" if quote else lead or "line"]
        references = _REFERENCES.match(self._text, at)
        for found in pattern.finditer(self._text, at if references is None else references.end()):
            if not quote or found[0][-1:] not in ("'", '"', "`") or found[0][-1] == quote:
                return found.start()
        return len(self._text)

    def end_of_line(self, at: int) -> int:
        """Return where the line ends."""
        found = _LINE_END.search(self._text, at)
        return len(self._text) if found is None else found.start()

    def end_of_word(self, at: int) -> int:
        """Return where the next blank stands."""
        found = _WORD_END.search(self._text, at)
        return len(self._text) if found is None else found.start()

    def block(self, start: int, at: int) -> tuple[int, int] | None:
        """Return the lines below that are indented deeper than the name at ``start``.

        ``None`` if something else than the mark of a block stands behind the separator.
        """
        opens = _BLOCK.match(self._text, at)
        if opens is None:
            return None
        line = self._text.rfind("\n", max(0, start - 200), start) + 1 or max(0, start - 200)
        place = end = opens.end()
        while place < len(self._text):
            found = _BLOCK_LINE.match(self._text, place)
            if found is None or not found[0]:
                break
            if found[0].strip():
                if len(found[1]) <= start - line:
                    break
                end = place + len(found[0].rstrip("\r\n"))
            place = found.end()
        return opens.end(), end

    def element(self, start: int, at: int) -> tuple[int, int] | None:
        """Return the content of the element whose name begins at ``start`` and ends at ``at``.

        ``None`` if this is no tag of an element. One that nothing closes holds the rest of a line.
        """
        tag = _TAG_END.match(self._text, at)
        if tag is None:
            return None
        first = tag.end()
        if tag[0].endswith("/>"):
            return first, first
        opens, closes = self._tags.get(self._text[start:at], ([], []))
        nearest = bisect_left(closes, first)
        if nearest < len(closes):
            inner = bisect_left(opens, closes[nearest]) - bisect_left(opens, first)
            return first, closes[min(nearest + max(inner, 0), len(closes) - 1)]
        if _CONTENT.match(self._text, first) is None:
            return None
        rest = _CONTENT_END.search(self._text, first)
        return first, len(self._text) if rest is None else rest.start()

    def content_of_tag(self, start: int, at: int) -> tuple[int, int] | None:
        """Return the text after the tag in which an attribute stands, as ``<a name="…">text``."""
        before = self._text[max(0, start - 500) : start]
        if before.rfind("<") <= before.rfind(">"):
            return None
        tag = _TAG_END.match(self._text, at)
        if tag is None or tag[0].endswith("/>") or _VALUE_ATTRIBUTE.search(tag[0]):
            return None
        first, mark = tag.end(), "<"
        if self._text.startswith(_CDATA, first):
            first, mark = first + len(_CDATA), "]]>"
        end = self._text.find(mark, first)
        end = len(self._text) if end < 0 else end
        return (first, end) if self._text[first:end].strip() else None

    @cached_property
    def _tags(self) -> dict[str, tuple[list[int], list[int]]]:
        """Where elements of each name open and close."""
        found: dict[str, tuple[list[int], list[int]]] = {}
        for tag in _TAG.finditer(self._text):
            opens, closes = found.setdefault(tag[2], ([], []))
            (closes if tag[1] else opens).append(tag.start())
        return found
