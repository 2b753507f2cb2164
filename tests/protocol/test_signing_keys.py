"""What we sign, others verify with the library of Standard Webhooks; secrets can be rotated."""

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from jobfleet_contracts.errors import SettingsError
from jobfleet_protocol.actions.signing_keys import SigningKeys

KEY = b"0123456789abcdef0123456789abcdef"
STANDARD = "whsec_" + base64.b64encode(KEY).decode()
BODY = '{"jobId":"ä"}'.encode()


def signed(*secrets: str) -> dict[str, str]:
    return SigningKeys(secrets).sign(BODY, message_id="msg-1", at=datetime.now(UTC))


def test_the_library_of_standard_webhooks_verifies_what_we_sign() -> None:
    assert Webhook(STANDARD).verify(BODY, signed(STANDARD), json_parse=True) == {"jobId": "ä"}


def test_the_first_secret_signs_and_each_of_them_verifies() -> None:
    headers = signed("new", "old")
    assert SigningKeys(["new"]).verify(BODY, headers)
    assert not SigningKeys(["old"]).verify(BODY, headers)
    assert SigningKeys(["new", "old"]).verify(BODY, signed("old"))


@pytest.mark.parametrize("way", ["X-HMAC-SHA256", "webhook-signature"])
def test_one_byte_more_breaks_either_signature(way: str) -> None:
    headers = signed("secret")
    kept = {
        n: v for n, v in headers.items() if n == way or n in ("webhook-id", "webhook-timestamp")
    }
    keys = SigningKeys(["secret"])
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
    assert not SigningKeys([]).verify(BODY, signed("secret"))


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "whsec_a"])
def test_a_secret_that_is_none_stops_the_start_without_showing_it(secret: str) -> None:
    with pytest.raises(SettingsError, match="secret 2") as refused:
        SigningKeys(["good", secret])
    assert not secret or secret not in str(refused.value)
