"""Messages of our own have no notation in which masking would hide their reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from yarl import URL

import jobfleet_contracts
import jobfleet_protocol
import jobfleet_worker
from jobfleet_contracts.credentials import masked_text
from jobfleet_worker.outbound.header_rules import HeaderRules
from jobfleet_worker.outbound.options import OutboundOptions
from jobfleet_worker.outbound.refusals import TargetForbidden
from jobfleet_worker.outbound.secret_headers import SecretHeaders

PACKAGES = (jobfleet_contracts, jobfleet_protocol, jobfleet_worker)
HEADERS = ("Authorization", "Cookie", "X-Api-Key", "X-Auth-Token")
PLAIN = URL("http://example.org")
SECURE = URL("https://example.org")
OPTIONS = OutboundOptions(
    secrets={"ALPHA": "a", "BETA": "b"}, secret_hosts={"BETA": ("other.example",)}
)


def _messages() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for file in sorted(Path(package.__path__[0]).rglob("*.py")):
            tree = ast.parse(file.read_text())
            documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                match node:
                    case ast.Constant(value=str() as text) if node not in documentation:
                        yield f"{file.name}:{node.lineno}", text
                    case ast.JoinedStr(values=parts):
                        texts = (
                            str(p.value) if isinstance(p, ast.Constant) else "it" for p in parts
                        )
                        yield f"{file.name}:{node.lineno}", "".join(texts)


def test_masking_leaves_the_texts_of_the_product_as_they_are() -> None:
    # A setting's error is printed when the process starts, and stands in no trail.
    texts = [(at, text) for at, text in _messages() if " " in text and text[:9] != "JOBFLEET_"]
    assert len(texts) > 1000
    assert [(at, text) for at, text in texts if masked_text(text) != text] == []


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    ("value", "url"),
    [("${secret:NOPE}", SECURE), ("Bearer ${secret:BETA}", SECURE), ("${secret:ALPHA}", PLAIN)],
)
def test_the_reason_why_a_header_gets_no_secret_is_shown(header: str, value: str, url: URL) -> None:
    with pytest.raises(TargetForbidden) as refused:
        SecretHeaders(options=OPTIONS).fill({header: value}, url)
    assert masked_text(str(refused.value)) == str(refused.value)
    assert header in str(refused.value)


@pytest.mark.parametrize("header", HEADERS)
def test_the_reason_why_a_header_is_refused_is_shown(header: str) -> None:
    refused: tuple[Mapping[str, str], ...] = (
        {header: "a\nb"},
        {header: "a" * 10_000},
        {f"{header} a": "b"},
        {header: "a", header.lower(): "b"},
        {f"Proxy-{header}": "a", "Proxy-Authorization": "b"},
        {header: "; ".join(f"a{number}=b{number}" for number in range(200)), "a" * 101: "b"},
    )
    for headers in refused:
        for rules in (HeaderRules(), HeaderRules(blocked=(header,))):
            with pytest.raises(TargetForbidden) as error:
                rules.check(headers)
            assert masked_text(str(error.value)) == str(error.value)
