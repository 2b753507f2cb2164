"""``llms.txt``: the pages in one list, for programs that read; https://llmstxt.org."""

from __future__ import annotations

import re
from pathlib import Path

_TITLE = re.compile(r"^# +(.+)$", re.MULTILINE)
_TOCTREE = re.compile(
    r"^```\{toctree\}\n(?P<options>(?::.*\n)*)(?P<pages>.*?)^```", re.MULTILINE | re.DOTALL
)
_CAPTION = re.compile(r"^:caption: (.+)$", re.MULTILINE)


def write(source: Path, site: Path) -> None:
    """Write ``llms.txt``, a list by chapter, and ``llms-full.txt``, the text of all pages."""
    home = (source / "index.md").read_text()
    lines, texts = ["# jobfleet", ""], []
    for chapter in _TOCTREE.finditer(home):
        caption = _CAPTION.search(chapter["options"])
        lines += [f"## {caption[1] if caption else 'Pages'}", ""]
        for name in chapter["pages"].split():
            text = (source / f"{name}.md").read_text()
            title = _TITLE.search(text)
            lines.append(f"- [{title[1] if title else name}]({name}.html)")
            texts.append(text)
        lines.append("")
    (site / "llms.txt").write_text("\n".join(lines))
    (site / "llms-full.txt").write_text("\n\n".join(texts))
