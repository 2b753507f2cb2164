"""A table of notations: names, separators, quotes and containers, each with each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import product
from urllib.parse import quote

VALUE = "hunter22"

NAMES = ("password", "X-Api-Key", "_clientSecret", "db.auth_token")
NAME_QUOTES: Mapping[str, Callable[[str], str]] = {
    "bare": lambda n: n,
    "double quotes": lambda n: f'"{n}"',
    "single quotes": lambda n: f"'{n}'",
    "backticks": lambda n: f"`{n}`",
    "bold": lambda n: f"**{n}**",
    "brackets": lambda n: f"user[{n}]",
    "index": lambda n: f"{n}[0]",
    "bold HTML": lambda n: f"<b>{n}</b>",
    "wide letters": lambda n: "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in n),
    "a zero-width sign": lambda n: f"{n[:3]}\u200b{n[3:]}\u200d",
    "a colour": lambda n: f"\x1b[36m{n}\x1b[0m",
}
SIGNS = (
    *("=", " = ", "= ", "\t=\t", "==", " == ", "===", " != ", ":=", " := ", "=>", " => ", "?="),
    *("+=", " ||= ", " -> ", " \u2192 ", "\uff1d", "\u200b=\u200b", "\u00a0=\u00a0", "\ufe66"),
    *(":", ": ", " : ", ":\t", "\uff1a", " \uff1a ", "\u200b: ", ":\u00a0", "\ufe55 ", "\u2236"),
)
QUOTES: Mapping[str, Callable[[str], str]] = {
    "bare": lambda v: v,
    "double quotes": lambda v: f'"{v}"',
    "single quotes": lambda v: f"'{v}'",
    "backticks": lambda v: f"`{v}`",
    "bytes": lambda v: f"b'{v}'",
    "typographic quotes": lambda v: f"\u201c{v}\u201d",
    "list": lambda v: f'["x", "{v}"]',
    "object": lambda v: f'{{"x": "{v}"}}',
    "scheme": lambda v: f"Bearer {v}",
    "quoted behind a scheme": lambda v: f'Bearer "{v}"',
    "a zero-width sign": lambda v: f"\u200b{v}",
    "a colour": lambda v: f"\x1b[35m{v}\x1b[0m",
}
CONTAINERS: Mapping[str, Callable[[str], str]] = {
    "alone": lambda p: p,
    "line": lambda p: f"a\n{p}\nb",
    "indented line": lambda p: f"a:\n    {p}\n    b: 1",
    "sentence": lambda p: f"it failed with {p} after 5 s",
    "behind a colon": lambda p: f"failed: {p}",
    "braces": lambda p: f"{{a=1, {p}, b=2}}",
    "first in braces": lambda p: f"got {{{p}}} there",
    "parentheses": lambda p: f"User(id=1, {p}) failed",
    "list": lambda p: f"[{p}]",
    "semicolons": lambda p: f"a=1; {p}; b=2",
    "log line": lambda p: f"2026-11-27T12:00:00Z INFO worker {p} status=200",
    "option": lambda p: f"run tool --header {p} --verbose",
    "text of JSON": lambda p: json.dumps({"a": f"x {p} y"}, ensure_ascii=False),
    "ASCII of JSON": lambda p: f"got {json.dumps({'a': f'x {p} y'})} there",
    "text of HTML": lambda p: f"<p>{escape(p)}</p>",
    "part of an address": lambda p: f"next={quote(p, safe='')}&b=2",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One notation."""

    name_quotes: str
    sign: str
    quotes: str
    container: str

    def text(self, name: str) -> str:
        """Write it with a name."""
        pair = NAME_QUOTES[self.name_quotes](name) + self.sign + QUOTES[self.quotes](VALUE)
        return CONTAINERS[self.container](pair)


def cells() -> Iterator[Cell]:
    """Yield all cells of the table."""
    for each in product(NAME_QUOTES, SIGNS, QUOTES, CONTAINERS):
        yield Cell(*each)


NOT_HIDDEN: Mapping[str, tuple[object, ...]] = {
    "a secret under a harmless name and without a known form": (
        {"note": VALUE},
        f"note={VALUE}",
        "\u0440assword=" + VALUE,  # a letter of another alphabet
    ),
    "in a text, what none of these separators joins to its name": (
        f"the password is {VALUE}",
        f"password {VALUE}",
        f"password\t{VALUE}",
        f"password;{VALUE}",
        f"password|{VALUE}",
        f"password->{VALUE}",
        f"password::{VALUE}",
        f'set_password("{VALUE}")',
        f"mysql -p{VALUE}",
    ),
    "what stands behind the bare word `key:` in a text (write `API key:`)": (f"the key: {VALUE}",),
    "a separator on another line than the name": (f"password\n= {VALUE}",),
    "a value on the next line that is not indented, or below a sentence": (
        f"password:\n{VALUE}",
        f"password =\n{VALUE}",
        f"it had the password:\n  {VALUE}",
    ),
    "in a sentence and in a query, what follows a blank or quote in a value without quotes": (
        f"it failed with token=my {VALUE}",
    ),
    "of a value in parts all but the first": (f'password = "x" + "{VALUE}"',),
    "what a label names outside an object, if it is not called a value": (
        f"name=password, data={VALUE}",
        f"- name: password\n  data: {VALUE}",
    ),
    "what a label names among more than two values, or within an object": (
        {"name": "password", "a": VALUE, "b": "x", "c": "y"},
        {"name": "password", "a": {"b": VALUE}},
    ),
    "what a label names that is called otherwise": ({"what": "password", "is": VALUE},),
    "columns and rows in different places, CSV, and tables in Markdown": (
        {"columns": ["password"], "rows": [[VALUE]]},
        f"user,password\nme,{VALUE}",
        f"| password | {VALUE} |",
    ),
    "a secret that is itself a word of a state or a type, behind a colon": (),
    "a secret that looks like a file's name, under `Key`": (
        {"Key": f"{VALUE}.csv"},
        f'{{"Key": "{VALUE}.csv"}}',
    ),
}
"""What masking does not hide, in the words of SECURITY.md, with examples."""
