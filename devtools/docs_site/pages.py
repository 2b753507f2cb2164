"""Collect the repository's pages, so that relative links work on the site as they do in a clone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

REPOSITORY = "https://github.com/jobfleet/jobfleet/blob/main"
_PAGES = (
    "docs/*.md",
    "deploy/**/*.md",
    "examples/**/*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
)
_FENCED = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)[ \t]*$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def collect(root: Path, source: Path) -> None:
    """Copy pages and pictures below ``root`` to ``source``. Links to other files lead to GitHub."""
    paths = {path.relative_to(root) for pattern in _PAGES for path in root.glob(pattern)}
    shutil.copytree(root / "docs" / "screenshots", source / "docs" / "screenshots")
    for path in sorted(paths):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(_with_links(root, path, paths))


def _with_links(root: Path, page: Path, pages: set[Path]) -> str:
    def link(match: re.Match[str]) -> str:
        target = (root / page.parent / match[1]).resolve().relative_to(root)
        if target in pages or target.suffix == ".png":
            return match[0]
        if target == Path("README.md"):
            return f"]({'../' * (len(page.parts) - 1)}index.md)"
        if not (root / target).exists():
            raise FileNotFoundError(f"{page} links to {match[1]}, which does not exist")
        return f"]({REPOSITORY}/{target}{match[2] or ''})"

    parts = _FENCED.split((root / page).read_text())
    return "".join(
        part if number % 2 else _LINK.sub(link, part) for number, part in enumerate(parts)
    )
