"""A page answers one task: what grows longer is split."""

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
LINES = 450
WHOLE = {"protocol.md": "a reference, read from rule to rule", "evidence.md": "generated"}


def test_no_page_is_too_long_to_be_about_one_task() -> None:
    lengths = {page.name: len(page.read_text().splitlines()) for page in DOCS.glob("*.md")}
    assert {name for name, lines in lengths.items() if lines > LINES} <= set(WHOLE)
