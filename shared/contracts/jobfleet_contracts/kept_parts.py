"""Which parts of a text a masked form of it shows, and what two such forms both show."""

from __future__ import annotations

from collections.abc import Sequence

HIDDEN = "***"


def kept_spans(text: str, shown: str) -> list[tuple[int, int]] | None:
    """Return where the parts of a text stand that are shown of it, in order.

    ``None`` if ``shown`` is not the text with ``***`` in the place of what is hidden.
    """
    parts = shown.split(HIDDEN)
    if len(parts) == 1:
        return [(0, len(text))] if shown == text else None
    last = len(text) - len(parts[-1])
    if last < len(parts[0]) or not (text.startswith(parts[0]) and text.endswith(parts[-1])):
        return None
    spans, at = [(0, len(parts[0]))], len(parts[0])
    for part in parts[1:-1]:
        start = text.find(part, at, last)
        if start < 0:
            return None
        at = start + len(part)
        spans.append((start, at))
    return [*spans, (last, len(text))]


def shown_by_both(text: str, first: str, second: str) -> str:
    """Return a text with everything hidden that one of two masked forms of it hides."""
    kept, also = kept_spans(text, first), kept_spans(text, second)
    if kept is None or also is None:
        return HIDDEN
    return _joined(text, _common(kept, also))


def _common(
    first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    found, place = list[tuple[int, int]](), 0
    for start, end in first:
        while place < len(second):
            since, until = second[place]
            if max(start, since) < min(end, until):
                found.append((max(start, since), min(end, until)))
            if until > end:
                break
            place += 1
    return found


def _joined(text: str, spans: Sequence[tuple[int, int]]) -> str:
    parts, at = list[str](), 0
    for start, end in spans:
        parts += (HIDDEN if start > at else "", text[start:end])
        at = end
    return "".join((*parts, HIDDEN if at < len(text) else ""))
