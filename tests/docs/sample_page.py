"""The programs of a page: its Python blocks, each beginning with ``# name.py``."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"^@(handler\(|on_startup|on_error|around_attempt|provide)", re.MULTILINE)
_NAME = re.compile(r"# (\w+)\.py\n")


class SamplePage:
    """Writes the programs of pages that belong together into a folder, and imports them from there.

    Attributes:
        programs: texts by module name, in the order of the pages.
    """

    def __init__(self, *names: str) -> None:
        self.programs: dict[str, str] = {}
        for name in names:
            self._read(name)

    def _read(self, name: str) -> None:
        for block in _BLOCK.findall((ROOT / name).read_text(encoding="utf-8")):
            named = _NAME.match(block)
            assert named is not None, f"{name}: a block without its file's name:\n{block}"
            assert named[1] not in self.programs, f"{name}: two files {named[1]}.py"
            assert ("def main" in block) == ("__main__" in block), (
                f"{name}: {named[1]} does nothing"
            )
            self.programs[named[1]] = block

    @property
    def handler_modules(self) -> tuple[str, ...]:
        """Modules with handlers or hooks, for a worker."""
        return tuple(name for name, text in self.programs.items() if _MARK.search(text))

    def write(self, folder: Path, *, replacing: dict[str, str]) -> None:
        """Write all programs; ``replacing`` puts servers of the test for those of the text."""
        for name, text in self.programs.items():
            for written, meant in replacing.items():
                text = text.replace(written, meant)  # noqa: PLW2901
            (folder / f"{name}.py").write_text(text, encoding="utf-8")

    def modules(self) -> Iterator[ModuleType]:
        """Import the programs, in the order of the page."""
        for name in self.programs:
            yield importlib.import_module(name)

    def forget(self) -> None:
        """Take the programs out of this process again."""
        for name in self.programs:
            sys.modules.pop(name, None)


async def run_program(module: ModuleType) -> int:
    """Run ``main`` and every test of a program; returns how many there were."""
    names = [name for name in vars(module) if name == "main" or name.startswith("test_")]
    for name in names:
        program = vars(module)[name]
        if inspect.iscoroutinefunction(program):
            await program()
        else:
            await asyncio.to_thread(program)
    return len(names)
