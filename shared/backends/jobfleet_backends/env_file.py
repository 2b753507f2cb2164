"""Reads ``.env``: what cannot be read is named by file and line, never left out silently."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from jobfleet_contracts.errors import SettingsError

ENCODING = "utf-8-sig"
"""UTF-8; editors of Windows put a byte order mark before it."""

MAX_BYTES = 256 * 1024
"""More than any settings take. The parser takes seconds for each MiB."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_env_file(path: Path) -> dict[str, str]:
    """Return the names and values of the file; nothing if there is none.

    Raises:
        SettingsError: one line that names the file, the line and the remedy.
    """
    try:
        if not os.path.lexists(path):
            return {}
        if not path.is_file():
            raise SettingsError(f"{path} {_kind(path)}; make it a file, or remove it")
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise SettingsError(
                f"{path} is larger than {MAX_BYTES // 1024} KiB; keep settings only in it"
            )
        text = _decoded(path, body)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}; allow this user to read it, or remove it"
        ) from error
    for binding in parse_stream(io.StringIO(text)):
        _check(path, binding)
    return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text)).items()}


def _kind(path: Path) -> str:
    if path.is_dir():
        return "is a folder"
    return "is neither file nor folder" if path.exists() else "is a link to a file that is missing"


def _decoded(path: Path, body: bytes) -> str:
    if body.startswith(_OTHER_MARKS):
        raise SettingsError(f"{path} line 1: the file is UTF-16; save it as UTF-8")
    try:
        return body.decode(ENCODING)
    except UnicodeDecodeError as error:
        number = body.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"{path} line {number}: byte 0x{body[error.start]:02x} is not UTF-8; "
            "save the file as UTF-8"
        ) from None


def _check(path: Path, binding: Binding) -> None:
    name = binding.key
    if not binding.error and name is None:
        return  # a comment or a blank line
    bare = binding.value is None and (name or "").startswith("JOBFLEET_")
    if binding.error or bare or not _NAME.fullmatch(name or ""):
        # The line may hold a secret: it is not shown.
        raise SettingsError(
            f"{path} line {_line(binding)}: is not NAME=value; write the name, an equals sign "
            "and the value"
        )
    if "\0" in (binding.value or ""):
        raise SettingsError(f"{path} line {_line(binding)}: holds a NUL; save the file as UTF-8")


def _line(binding: Binding) -> int:
    """The parser counts the blank lines before a line to it."""
    text = binding.original.string
    return binding.original.line + len(text[: len(text) - len(text.lstrip())].splitlines())
