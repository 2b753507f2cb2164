"""Notations in which a name and a value stand, names of credentials, and ordinary texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import orjson

SECRET_NAMES = (
    "_password",
    "2fa_token",
    "spring.datasource.password",
    "$password",
    "X-Api-Key",
    "DB_PASSWORD",
    "clientSecret",
    "Authorization",
    "Set-Cookie",
    "sessionToken",
    "api_key",
    "connectionString",
    "JSESSIONID",
    "x-amz-signature",
)
ORDINARY_NAMES = (
    "lockKey",
    "idempotencyKey",
    "Idempotency-Key",
    "author",
    "primaryKey",
    "primary_key",
    "customer.id",
    "_size",
    "keyword",
    "maxTokens",
    "2nd_try",
)
WORDS = ("hunter22", "hu:nter22", "hunter/22+a==", "-hunter22", "hunter22.")
"""Values without blanks and quotes."""
PHRASES = (*WORDS, "my hunter22 is long", "hunter22, or hunter22")
"""Values with blanks, for notations that say where a value ends."""
QUOTED = (
    *PHRASES,
    "it's hunter22",
    'a "hunter22" b hunter22',
    "hunter22 <b>&amp; hunter22\\",
    "{hunter22: [",
)
"""Values with quotes and brackets, for notations that escape them."""

Notation = Callable[[str, str], str]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _labelled(name: str, value: str) -> Notation:
    return lambda n, v: f"got {_json({'size': 1, name: n, value: v, 'b': 2})} from it"


def _as_html(text: str) -> str:
    return "".join(f"&#{ord(sign)};" if sign in "aeo" else sign for sign in text)


def _tag(name: str) -> str:
    return "e_" + name.strip("$") if name[:1] in "$_0123456789" else name


OF_WORDS: dict[str, Notation] = {
    "assignment in a sentence": lambda n, v: f"it failed with {n}={v} after 5 s",
    "spaced assignment in a sentence": lambda n, v: f"it failed with {n} = {v} after 5 s",
    "query": lambda n, v: f"see https://a.example/x?page=1&{n}={v}&b=2 for more",
    "fragment": lambda n, v: f"see https://a.example/#{n}={v}",
    "form": lambda n, v: f"sent a=1&{n}={v}&b=2",
    "joined colon": lambda n, v: f"it failed with {n}:{v} after 5 s",
    "option": lambda n, v: f"run tool --{n.strip('$_')} {v.strip('-')} --verbose",
    "option with a sign": lambda n, v: f"run tool --{n.strip('$_')}={v} --verbose",
    "array in a query": lambda n, v: f"see /x?page=1&{n}[]={v}&b=2",
    "option of Windows": lambda n, v: f"run tool /{n.strip('$_')}:{v} /verbose",
    "option in an option": lambda n, v: f"run tool --header={n}:{v} --verbose",
    "log format": lambda n, v: f"level=info user=bob {n}={v} status=200",
    "escaped blank": lambda n, v: f"run -H {n}:Bearer\\ {v} or --{n.strip('$_')}=a\\ {v} --verbose",
    "escaped address": lambda n, v: f"next={quote(f'https://a.example/?{n}={v}', safe='')}&b=2",
    "HTML in an address": lambda n, v: f"see /x?page=1&amp;{_as_html(n)}&#61;{v}&amp;b=2",
    "named signs of HTML": lambda n, v: f"see /x&quest;page&equals;1&amp;{n}&equals;{v}&amp;b=2",
    "twice escaped": lambda n, v: f"?n={quote(quote(f'?{n}={v}&a=1', safe=''), safe='')}&b=2",
}
OF_PHRASES: dict[str, Notation] = {
    "property": lambda n, v: f"{n}={v}",
    "property with blanks": lambda n, v: f"a = 1\n{n} = {v}\nb = 2",
    "exported": lambda n, v: f"export {n}={v}\n",
    "header line": lambda n, v: f"Accept: a/b\n{n}: {v}\nHost: c",
    "blank before the colon": lambda n, v: f"{n} : {v}",
    "in a sentence": lambda n, v: f"the request had {n}: {v}",
    "Markdown": lambda n, v: f"- **{n}:** {v}",
    "with a remark": lambda n, v: f"{n} (of 2024): {v}",
    "YAML": lambda n, v: f"a:\n  - {n}: {v}\n    b: 1",
    "YAML block": lambda n, v: f"a:\n  {n}: |\n    {v}\n    hunter22\n\n    hunter22\n  b: 1",
    "folded": lambda n, v: f"Accept: a\r\n{n}: x\r\n {v}\r\n\t{v}\r\nHost: a",
    "YAML list, not indented": lambda n, v: f"{n}:\n- {v}\n- {v}\nb: 1",
    "folded at once": lambda n, v: f"{n}:\n {v}\n",
    "backslash at the end": lambda n, v: f"{n}=a\\\n{v}\nb=1",
    "YAML list": lambda n, v: f"{n}:\n  - {v}\nb: 1",
    "connection string": lambda n, v: f"dsn Server=a;{n}={v};Port=1",
    "connection string, first": lambda n, v: f"{n}={v};Port=1",
    "printed map": lambda n, v: f"got {{a=1, {n}={v}, b=2}} from it",
    "printed object": lambda n, v: f"got {{a: 1, {n}: {v}, b: 2}} from it",
    "header in quotes": lambda n, v: f"curl -H '{n}: {v}' https://a.example",
    "pair in quotes": lambda n, v: f'docker run -e "{n}={v}" image',
    "YAML label": lambda n, v: f"- name: {n}\n  value: {v}\n",
    "escaped form": lambda n, v: f"a=1&{quote(n)}={quote(v)}&b=2",
}
OF_QUOTED: dict[str, Notation] = {
    "JSON": lambda n, v: _json({"a": 1, n: v, "b": 2}),
    "JSON in a sentence": lambda n, v: f"sent {_json({'a': 1, n: v, 'b': 2})} to it",
    "indented JSON": lambda n, v: f"sent {json.dumps({'a': 1, n: v}, indent=2)} to it",
    "escaped JSON": lambda n, v: f"sent {_json(_json({'a': 1, n: v, 'b': 2}))} to it",
    "twice escaped JSON": lambda n, v: f"sent {_json(_json(_json({n: v, 'b': 2})))} to it",
    "cut JSON": lambda n, v: f"{_json({'a': 1, n: v})[:-1]}, ",
    "namespaced": lambda n, v: f"sent {_json({f'ns:{n}': v})} to it",
    "value in a list": lambda n, v: f"sent {_json({n: ['x', v], 'b': 2})} to it",
    "value in an object": lambda n, v: f"sent {_json({n: {'x': [v]}, 'b': 2})} to it",
    "representation": lambda n, v: f"sent { {'a': 1, n: v, 'b': 2}!r} to it",
    "hash of Ruby": lambda n, v: f"sent {{{_json(n)} => {_json(v)}}} to it",
    "pair of bytes": lambda n, v: f"sent {[(n.encode(), v.encode())]!r} to it",
    "three quotes": lambda n, v: f'{n} = """\n{v.replace(chr(34), "")}\n"""\nb = 2',
    "doubled quotes": lambda n, v: "set {} = '{}' here".format(n, v.replace("'", "''")),
    "assigned text": lambda n, v: f"set {n} = {_json(v)} here",
    "item of a map": lambda n, v: f"config[{_json(n)}] = {_json(v)}",
    "HTML of JSON": lambda n, v: f"<td>{escape(_json({n: v}), {chr(34): '&quot;'})}</td>",
    "element": lambda n, v: f"<a><{_tag(n)}>{escape(v)}</{_tag(n)}><b>1</b></a>",
    "element with a comment": lambda n, v: f"<{_tag(n)}><!-- x -->{escape(v)}</{_tag(n)}>",
    "element with children": lambda n, v: f"<{_tag(n)}><v>{escape(v)}</v><v>x</v></{_tag(n)}>",
    "element in itself": lambda n, v: f"<{_tag(n)}><{_tag(n)}>x</{_tag(n)}>{escape(v)}</{_tag(n)}>",
    "element with attributes": lambda n, v: f"<ns:{_tag(n)} v={quoteattr(v)}>a</ns:{_tag(n)}>",
    "empty element": lambda n, v: f"<{_tag(n)} v={quoteattr(v)}/>",
    "character data": lambda n, v: f"<{_tag(n)}>\n<![CDATA[{v}]]>\n</{_tag(n)}>",
    "HTML of an element": lambda n, v: escape(f"<{_tag(n)}>{escape(v)}</{_tag(n)}>"),
    "key attribute": lambda n, v: f"<add key={quoteattr(n)} value={quoteattr(v)}/>",
    "name attribute": lambda n, v: f"<add name={quoteattr(n)} type='x' value={quoteattr(v)} />",
    "value first": lambda n, v: f"<add value={quoteattr(v)} name={quoteattr(n)}/>",
    "text of an entry": lambda n, v: f"<a><entry key={quoteattr(n)}>{escape(v)}</entry></a>",
    "element of a label": lambda n, v: f"<param name={quoteattr(n)}>{escape(v)}</param>",
    "own header element": lambda n, v: f"<a:http-header name='{n}'>{escape(v)}</a:http-header>",
    "empty element between": lambda n, v: f"<name>{n}</name><a/><value>{escape(v)}</value>",
    "value element first": lambda n, v: f"<p><value>{escape(v)}</value><name>{n}</name></p>",
    "long name": lambda n, v: f"got {_json({'name': 'of.a.' * 20 + n, 'value': v})} here",
    "brackets between": lambda n, v: f"got {_json({'name': n, 'x': 'a } b', 'value': v})} here",
    "brackets between, value first": lambda n, v: (
        f"got { {'value': v, 'x': '{', 'name': n}!r} here"
    ),
    "name and value elements": lambda n, v: f"<p><name>{n}</name><value>{escape(v)}</value></p>",
    "property list": lambda n, v: f"<key>{n}</key>\n<string>{escape(v)}</string>",
    "pair": lambda n, v: f"sent {_json([n, v])} to it",
    "name and data": _labelled("name", "data"),
    "whole: name and data": lambda n, v: _json([{"name": n, "data": v}]),
    "whole: data first": lambda n, v: _json({"x": [{"data": v, "type": "string", "name": n}]}),
    "representation of name and data": lambda n, v: f"got { {'env': n, 'is': v}!r} from it",
    "cell of a table": lambda n, v: f"<tr><td>{n}</td> <td class='a'>{escape(v)}</td></tr>",
    "large cell": lambda n, v: f"<TR><TH>{n}</TH>\n<TD>{escape(v)}</TD></TR>",
    "definition": lambda n, v: f"<dl><dt>{n}</dt><dd>{escape(v)}</dd></dl>",
    "tuple": lambda n, v: f"sent {(n, v)!r} to it",
    "scheme in a list": lambda n, v: f"sent {_json([n, 'Basic', v])} to it",
    "arguments": lambda n, v: f"ran {_json(['tool', '--' + n.strip('$_'), v])} here",
    "Name and Value": _labelled("Name", "Value"),
    "Key and Value": _labelled("Key", "Value"),
    "header and value": _labelled("header", "value"),
    "headerName and headerValue": _labelled("headerName", "headerValue"),
    "value before the name": lambda n, v: f"got {_json({'Value': v, 'Name': n})} from it",
    "an object between": lambda n, v: f"got {_json({'name': n, 'x': {'a': 1}, 'value': v})} here",
    "whole: Key and Value": lambda n, v: _json([{"Key": n, "Value": v}]),
    "whole: header and value": lambda n, v: _json({"header": n, "value": [v]}),
    "whole: pair": lambda n, v: _json({"headers": [[n, v]]}),
}

FREE_NAMES = ("API key", "access key", "session token")
"""Names of two words, in the notations that admit them."""
OF_FREE_NAMES = (
    "header line",
    "in a sentence",
    "JSON in a sentence",
    "escaped JSON",
    "pair",
    "Name and Value",
    "key attribute",
    "whole: pair",
    "whole: Key and Value",
)

ORDINARY_TEXTS = (
    "key: value 5 of 9",
    "unexpected token: }",
    "SyntaxError: Unexpected token: < in JSON at position 0",
    "DETAIL:  Key (id)=(5) already exists.",
    "Key (customer_id, order_number, place_in_the_order)=(5, 6, 7) is not present in table.",
    "the key: 5 of 9",
    "author: Bob",
    "authority: the city",
    "token count 5",
    "token count: 5",
    "max tokens: 512",
    "tokens = 512",
    "primary key: id",
    "the primary key of the table",
    "lock key: customer 42",
    "lockKey: customer:42",
    "idempotencyKey=abc-5, attempt=2",
    "cache key = orders:5",
    "https://example.com/a:b@c",
    "https://example.com/auth/token/5?page=2",
    "http://[::1]:8080/x",
    "GET /api/tokens: 200 in 5 ms",
    "2026-11-27T12:00:00.123Z",
    "12:30:05 done",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "job 6e4e1c5e-2b7d-5c3f-9a51-0c9c1f2f7d11 failed at step 5",
    "KeyError: 'steps'",
    "jwt.exceptions.InvalidSignatureError: the text differs",
    "cryptography.fernet.InvalidToken: the text differs",
    "Basic training of five people",
    "basic end-to-end tests",
    "the bearer of this letter",
    "Bearer authentication failed",
    "Bearer token required",
    "Bearer tokens expire.",
    "a basket = apples, pears",
    "the monkey: brown",
    "usage: tool login <token> --verbose",
    "GET /status/<token>/result",
    "List<Token> found of Map<Key, Value>",
    "if (token == null) return",
    "the password is wrong, try it again",
    'File "/app/auth/session.py", line 5, in authenticate\n    return self.find(user)',
    "at com.example.auth.Login.check(Login.java:55)\n\tat java.lang.Thread.run(Thread.java:1)",
    "error in auth.py:5: no such name",
    "SELECT name, value FROM settings WHERE id = 5",
    '{"name": "size", "value": 5}',
    '["session", "customer", "items"]',
    "<add key='size' value='5'/>",
    "<name>size</name><value>5</value>",
    "100% of 5 items; a & b",
    "size%3D5%26page%3D2",
    "jobs list --type mail.digest --state queued",
    "`authorize=` and `key_scope=` are functions",
    'it ends with "token=" and "password: "',
    "&lt;b&gt;five&lt;/b&gt;",
    "eyes on it. eye.catching",
    "auth-service:8080 did not answer",
    "session: timed out",
    "token: expired or revoked.",
    "the session: closed by the server",
    "api_key: not set",
    "secret: str",
    "password: Optional[SecretStr] = None",
    "def login(user: str, token: str | None = None, key: bytes = ...) -> None:",
    'no object {"Key": "imports/2026.csv"} in it',
    "<Error><Code>NoSuchKey</Code><Key>imports/2026.csv</Key></Error>",
    "docker run --rm -u 1000:1000 image",
    "podman exec --user=0:0 image",
    'the scheme Bearer "token" of it',
    "SESSION =======",
    "a \u00fcber \u2192 b; \u21d2 c",
)

FORMS: dict[str, str] = {
    "escaped signs of JSON": r'sent {"\u0070assw\u006frd":"hunter22"} to it',
    "escaped slashes": r'{"url":"https:\/\/bob:hunter22@h\/"}',
    "escaped slashes in a text": r'x {"url":"https:\/\/bob:hunter22@h\/"} y',
    "user info": "see https://bob:hunter22@h/ for it",
    "composed scheme": "jdbc:mysql://bob:hunter22@h/db",
    "address behind a name": "url:https://bob:hunter22@h/",
    "scheme of three parts": "a:jdbc:postgresql+ssl://bob:hunter22@h/db?x=1",
    "scheme with a long name": f"{'long' * 20}://bob:hunter22@h/db",
    "Oracle": "jdbc:oracle:thin:bob/hunter22@h:1521:db",
    "Basic": "sent Basic aHVudGVyOmh1bnRlcg and more",
    "Basic of letters only": "sent Basic dXNlcjpwYXNz",
    "Bearer of letters only": "sent Bearer abcdefghijkl",
    "Bearer of mixed letters": "sent bearer abcDEFghi",
    "Bearer in quotes": 'sent Bearer "hunter22 hunter22" to it',
    "Bearer in single quotes": "sent Bearer 'abcdef'",
    "Bearer in escaped quotes": r"sent {\"a\": \"Bearer \\\"hunter22\\\"\"}",
    "Basic in quotes": "sent Basic 'aHVudGVyOmh1bnRlcg=='",
    "user of curl in a container": "docker run curl -u 1000:hunter22 https://h",
    "token": "sent eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmVk",
    "token with a blank": "sent eyAiYWxnIjogIkhTMjU2IiB9.eyJhIjoxfQ.c2lnbmVk",
    "token with line breaks": "sent ewogICJhbGciOiAiSFMyNTYiCn0.eyJhIjoxfQ.c2lnbmVk",
    "token with line breaks of Windows": "x-ew0KICJhbGciOiAiSFMyNTYiDQp9.eyJhIjoxfQ.c2lnbmVk",
    "token with a tab": "id ewkiYWxnIjogIkhTMjU2IiB9.eyJhIjoxfQ.c2lnbmVk",
    "token behind a look-alike": "ew-eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmVk",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nhunter22\n-----END RSA PRIVATE KEY-----",
    "private key of PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----\nhunter22",
    "escaped address": "next=https%3A%2F%2Fbob%3Ahunter22%40h%2F",
}
PARTS = (
    "hunter22",
    "aHVudGVy",
    "dXNlcjpwYXNz",
    "abcdef",
    "abcDEF",
    "c2lnbmVk",
)
"""What would show a part of one of these."""
