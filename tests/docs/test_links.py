"""Every relative link of the documentation leads somewhere."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "examples").glob("**/*.md"),
        *(ROOT / "deploy").glob("**/*.md"),
    ]
)
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


@cache
def anchors(page: Path) -> frozenset[str]:
    """Ids that the headings of a page get where it is shown: GitHub's rule."""
    times: Counter[str] = Counter()
    found = []
    for heading in HEADING.findall(prose(page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{anchor}-{times[anchor]}" if times[anchor] else anchor)
        times[anchor] += 1
    return frozenset(found)


def broken(page: Path) -> list[str]:
    faults = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        missing = not target.exists() or ROOT not in [target, *target.parents]
        if missing or (anchor and anchor not in anchors(target)):
            faults.append(link)
    return faults


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(document: Path) -> None:
    assert broken(document) == []


def test_the_readme_leads_to_every_page() -> None:
    linked = {
        (ROOT / link.partition("#")[0]).resolve()
        for link in LINK.findall(prose(ROOT / "README.md"))
    }
    assert [str(page) for page in PAGES if page.parent.name == "docs" and page not in linked] == []
