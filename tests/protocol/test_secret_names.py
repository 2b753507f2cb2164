"""Which names say that a value is a credential."""

from __future__ import annotations

import pytest

from jobfleet_contracts.credentials import masked, masked_text
from jobfleet_contracts.secret_names import is_secret_name

SECRET = (
    *("escrowKey", "escrow_key", "escrowkey", "commonKey", "daemonKey", "daemon_key", "abandonKey"),
    *("borderKey", "borangeKey", "recordKeyName2Key", "mon_key", "salmonKey", "newTokens"),
    *("usedTokens", "preorderKey", "X-Escrow-Key", "undertoken", "growKeys"),
)
HARMLESS = (
    *("lockKey", "lock_key", "lockkey", "LOCK-KEY", "idempotencyKey", "fencingToken", "keyword"),
    *("keywords", "primaryKey", "primary keys", "rowKey", "row_key", "rowkey", "orderKeys"),
    *("maxTokens", "max_tokens", "inputTokens", "tokenCount", "token_counts", "keyId", "key_name"),
    *("unexpected token", "unexpectedKey", "tokenizer", "tokenizerConfig", "keyboard", "keyPress"),
    *("monkey", "monkeys", "donkey", "turkey", "publicKeyPem", "secretary", "myRowKey", "whiskeys"),
)


@pytest.mark.parametrize("name", SECRET)
def test_an_exception_counts_only_as_words_of_the_name(name: str) -> None:
    assert is_secret_name(name)
    assert masked({name: "hunter22"}) == {name: "***"}
    if " " not in name:
        assert masked_text(f"{name}=hunter22") == f"{name}=***"


@pytest.mark.parametrize("name", HARMLESS)
def test_an_exception_is_found_in_each_spelling(name: str) -> None:
    assert not is_secret_name(name)


def test_tokens_that_are_counted_are_numbers() -> None:
    shown = masked({"newTokens": 512, "usedTokens": 7, "new_tokens": ["hunter22"]})
    assert shown == {"newTokens": 512, "usedTokens": 7, "new_tokens": ["***"]}
