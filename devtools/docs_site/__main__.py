"""Build the site strictly: a broken link, a missing anchor or a page without a place fails."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from devtools.docs_site import llms, reference
from devtools.docs_site.pages import collect

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "build" / "docs-source"
SITE = ROOT / "build" / "docs"


def main() -> int:
    """Write the site and return 0, or print each fault and return 1."""
    for folder in (SOURCE, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    collect(ROOT, SOURCE)
    reference.write(SOURCE / "reference")
    shutil.copy(Path(__file__).with_name("index.md"), SOURCE / "index.md")
    options = ["-b", "html", "-W", "--keep-going", "-q", "-c", str(Path(__file__).parent)]
    failed = build_main([*options, str(SOURCE), str(SITE)])
    if failed:
        return 1
    llms.write(SOURCE, SITE)
    print(f"The site is in {SITE.relative_to(ROOT)}; open index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
