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


IN_LABELS: Mapping[str, str] = {
    "variable": f"DB_PASSWORD={VALUE}",
    "quoted variable": f"PASSWORD='{VALUE}'",
    "option": f"--password={VALUE}",
    "option and argument": f"--password {VALUE}",
    "header": f"X-Api-Key: {VALUE}",
    "header with a parameter": f"Cookie: sid={VALUE}",
    "joined colon": f"password:{VALUE}",
    "wide sign": f"password\uff1d{VALUE}",
    "scheme": f"Bearer {VALUE}",
    "scheme of a header": f"Authorization: Bearer {VALUE}",
    "query": f"https://x/?token={VALUE}",
    "user info": f"https://u:{VALUE}@x/?token=a",
    "escaped query": f"n=%3Ftoken%3D{VALUE}",
    "escaped HTML": f"token&#61;{VALUE}",
    "key": f"secret={VALUE}",
}
"""Texts that say the name of a credential and hold one themselves."""
LABELLING: Mapping[str, Callable[[str], object]] = {
    "pair": lambda t: [t, "DEBUG=1"],
    "pair with a number": lambda t: [t, 1],
    "pair with an object": lambda t: [t, {"a": 1}],
    "pair with a scheme": lambda t: [t, "Basic", "x"],
    "name and value": lambda t: {"name": t, "value": "x"},
    "value and header": lambda t: {"value": ["x"], "header": t},
    "key and value": lambda t: {"key": t, "value": "1"},
    "option without a value": lambda t: {"option": t, "value": None},
    "type and value": lambda t: {"type": t, "value": "x"},
    "two labels": lambda t: {"name": "password", "field": t, "value": "x"},
    "name and data": lambda t: {"name": t, "data": "x"},
    "variable and scope": lambda t: {"scope": "prod", "variable": t, "kind": "a"},
    "own name": lambda t: {"lockKey": t, "jobId": "a"},
    "name of a field": lambda t: {t: "x"},
    "name of a label": lambda t: {f"{t} name": "password", "value": "x"},
    "name of a value": lambda t: {"name": "password", f"{t} value": "x"},
    "name below a name": lambda t: {"password": {t: "x"}},
}
"""Places in which a text is taken for the name of what stands beside it."""
LABEL_TEXTS: Mapping[str, Callable[[object], object]] = {
    "value": lambda v: {"a": [v]},
    "JSON": json.dumps,
    "JSON in a sentence": lambda v: f"got {json.dumps(v)} there",
    "JSON in JSON": lambda v: {"a": json.dumps(json.dumps(v))},
    "representation": lambda v: f"got {v!r} there",
}
LABELLING_TEXTS: Mapping[str, Callable[[str], str]] = {
    "attributes": lambda t: f'<add key="{t}" value="x"/>',
    "attribute of an element": lambda t: f'<param name="{t}">x</param>',
    "elements": lambda t: f"<name>{t}</name><value>x</value>",
    "property list": lambda t: f"<key>{t}</key><string>x</string>",
    "cells": lambda t: f"<td>{t}</td><td>x</td>",
    "definition": lambda t: f"<dt>{t}</dt><dd>x</dd>",
    "YAML": lambda t: f"- name: {t}\n  value: x\n",
    "quoted YAML": lambda t: f'- name: "{t}"\n  value: x\n',
    "assignments": lambda t: f'name="{t}" value="x"',
    "tuple": lambda t: f"got ({t!r}, 'x') there",
}


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
    "in a text, what stands behind the path of a request, a host, a source file or a class": (
        f"GET /api/tokens: {VALUE}",
        f"auth.example.com: {VALUE}",
        f"src/auth/session.py: {VALUE}",
        f"com.example.secret.Store: {VALUE}",
    ),
    "a secret that looks like a file's name, under `Key`": (
        {"Key": f"{VALUE}.csv"},
        f'{{"Key": "{VALUE}.csv"}}',
    ),
}
"""What masking does not hide, in the words of SECURITY.md, with examples."""
