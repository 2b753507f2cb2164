"""Connection strings: what is read, what is refused, and nothing told of their secrets."""

from __future__ import annotations

import pytest

from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_contracts.errors import SettingsError

SECRET = "c2VjcmV0a2V5"


def test_the_emulator_has_a_name_of_its_own() -> None:
    address = StorageAddress.parse("UseDevelopmentStorage=true")
    assert address.tables == "http://127.0.0.1:10002/devstoreaccount1"
    assert address.blobs == "http://127.0.0.1:10000/devstoreaccount1"
    assert address.account == "devstoreaccount1"


def test_endpoints_follow_from_the_account() -> None:
    address = StorageAddress.parse(
        f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={SECRET}==;"
        "EndpointSuffix=core.chinacloudapi.cn"
    )
    assert address.blobs == "https://acme.blob.core.chinacloudapi.cn"
    assert address.tables == "https://acme.table.core.chinacloudapi.cn"
    assert address.key == f"{SECRET}=="


def test_a_shared_access_signature_is_kept_out_of_the_address() -> None:
    address = StorageAddress.parse(
        "BlobEndpoint=https://a.example/;TableEndpoint=https://b.example;"
        "SharedAccessSignature=?sv=2024&sig=abc%3D"
    )
    assert (address.blobs, address.tables) == ("https://a.example", "https://b.example")
    assert address.sas == "sv=2024&sig=abc%3D"
    assert "sig" not in repr(address)


def test_localhost_is_not_taken_for_another_emulator() -> None:
    address = StorageAddress.parse(
        f"AccountName=a;AccountKey={SECRET};BlobEndpoint=http://localhost:1234/a;"
        "TableEndpoint=http://localhost:1235/a"
    )
    assert address.tables == "http://127.0.0.1:1235/a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET,
        f"AccountKey={SECRET}",
        "AccountName=acme",
        f"AccountName=acme;AccountKey={SECRET};TableEndpoint=ftp://x",
        f"AccountName=acme;AccountKey={SECRET};BlobEndpoint=http://x:notaport",
    ],
)
def test_what_cannot_be_read_is_named_without_its_secret(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        StorageAddress.parse(text)
    assert "JOBFLEET_STORAGE_CONNECTION_STRING" in str(raised.value)
    assert SECRET not in str(raised.value)
