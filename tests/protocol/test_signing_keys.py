"""What we sign, others verify with the library of Standard Webhooks; secrets can be rotated."""

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from jobfleet_contracts.errors import SettingsError
from jobfleet_protocol.actions.signing_keys import (
    SigningKeys,
    delivery_keys,
    delivery_secret,
    derived_key,
    keys_of,
)

KEY = b"0123456789abcdef0123456789abcdef"
STANDARD = "whsec_" + base64.b64encode(KEY).decode()
NEW, OLD = "a new secret of ours", "an old secret of ours"
BODY = '{"jobId":"ä"}'.encode()


def signed(*secrets: str) -> dict[str, str]:
    return SigningKeys(secrets).sign(BODY, message_id="msg-1", at=datetime.now(UTC))


def test_the_library_of_standard_webhooks_verifies_what_we_sign() -> None:
    assert Webhook(STANDARD).verify(BODY, signed(STANDARD), json_parse=True) == {"jobId": "ä"}


def test_the_first_secret_signs_and_each_of_them_verifies() -> None:
    headers = signed(NEW, OLD)
    assert SigningKeys([NEW]).verify(BODY, headers)
    assert not SigningKeys([OLD]).verify(BODY, headers)
    assert SigningKeys([NEW, OLD]).verify(BODY, signed(OLD))


@pytest.mark.parametrize("way", ["X-HMAC-SHA256", "webhook-signature"])
def test_one_byte_more_breaks_either_signature(way: str) -> None:
    headers = signed(NEW)
    kept = {
        n: v for n, v in headers.items() if n == way or n in ("webhook-id", "webhook-timestamp")
    }
    keys = SigningKeys([NEW])
    assert keys.verify(BODY, kept)
    assert not keys.verify(BODY + b" ", kept)


def test_several_signatures_in_one_header_are_each_tried() -> None:
    headers = signed(STANDARD)
    del headers["X-HMAC-SHA256"]
    headers["webhook-signature"] = (
        f"v1,{base64.b64encode(KEY).decode()} " + headers["webhook-signature"]
    )
    assert SigningKeys([STANDARD]).verify(BODY, headers)


def test_without_a_secret_nothing_is_signed_and_nothing_verifies() -> None:
    assert signed().keys() == {"webhook-id", "webhook-timestamp"}
    assert not SigningKeys([]).verify(BODY, signed(NEW))


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "whsec_a"])
def test_a_secret_that_is_none_stops_the_start_without_showing_it(secret: str) -> None:
    with pytest.raises(SettingsError, match="secret 2") as refused:
        SigningKeys([NEW, secret])
    assert not secret or secret not in str(refused.value)


def test_what_we_send_is_signed_with_a_key_that_third_parties_secrets_do_not_tell() -> None:
    headers = delivery_keys([NEW]).sign(BODY, message_id="msg-1", at=datetime.now(UTC))
    receiver = delivery_secret(keys_of([NEW])[0])
    assert Webhook(receiver).verify(BODY, headers, json_parse=True) == {"jobId": "\u00e4"}
    assert SigningKeys([receiver]).verify(BODY, headers)
    assert not SigningKeys([NEW]).verify(BODY, headers)
    assert not delivery_keys([NEW]).verify(BODY, signed(NEW))


def test_a_key_is_derived_as_rfc_5869_has_it() -> None:
    """HKDF-SHA256 of 22 bytes 0x0b without salt, test case 3 cut to one block, its info empty."""
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert derived_key(b"\x0b" * 22, b"").hex() == expected


def test_the_token_of_an_address_is_of_one_job_one_incarnation_and_one_secret() -> None:
    keys, job = SigningKeys([NEW, OLD]), "job-1"
    assert keys.is_address(keys.address_token(job, 2), job, 2)
    assert keys.is_address(SigningKeys([OLD]).address_token(job, 2), job, 2)
    for other in (("job-2", 2), (job, 1), (job, 22)):
        assert not keys.is_address(keys.address_token(job, 2), *other)
    assert not SigningKeys([NEW]).is_address(SigningKeys([OLD]).address_token(job, 2), job, 2)
    assert not SigningKeys([]).is_address(SigningKeys([]).address_token(job, 2), job, 2)
