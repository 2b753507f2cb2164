"""Where an account's blobs and tables are, and what opens them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from jobfleet_contracts.errors import SettingsError

VARIABLE = "JOBFLEET_STORAGE_CONNECTION_STRING"
_EMULATOR = "devstoreaccount1"
# Microsoft documents this key; it opens nothing but an emulator.
_EMULATOR_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True, slots=True)
class StorageAddress:
    """Endpoints without secrets, and at most one of key and SAS; neither means an identity.

    Attributes:
        blobs: address of the blob service, as ``https://name.blob.core.windows.net``.
        tables: address of the table service.
    """

    blobs: str
    tables: str
    account: str = ""
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)

    @classmethod
    def of_account(cls, name: str) -> StorageAddress:
        """Return the public address of an account that is opened with an identity."""
        return cls(
            f"https://{name}.blob.core.windows.net", f"https://{name}.table.core.windows.net", name
        )

    @classmethod
    def parse(cls, text: str) -> StorageAddress:
        """Read a connection string.

        Raises:
            SettingsError: names what is missing, never what was given.
        """
        parts = _parts(text)
        if parts.get("usedevelopmentstorage", "").lower() == "true":
            host = parts.get("developmentstorageproxyuri", "http://127.0.0.1").rstrip("/")
            return cls(
                f"{host}:10000/{_EMULATOR}", f"{host}:10002/{_EMULATOR}", _EMULATOR, _EMULATOR_KEY
            )
        account, key = parts.get("accountname", ""), parts.get("accountkey")
        sas = parts.get("sharedaccesssignature")
        if key is None and sas is None:
            raise SettingsError(f"{VARIABLE}: needs AccountKey or SharedAccessSignature")
        blobs, tables = (_endpoint(parts, service) for service in ("blob", "table"))
        if key is not None:
            return cls(blobs, tables, account, key=key)
        return cls(blobs, tables, account, sas=(sas or "").lstrip("?"))


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for piece in filter(None, (piece.strip() for piece in text.split(";"))):
        name, mark, value = piece.partition("=")
        if not mark or not value:
            raise SettingsError(
                f"{VARIABLE}: must be name=value pairs separated by semicolons, "
                "or UseDevelopmentStorage=true"
            )
        parts[name.strip().lower()] = value.strip()
    return parts


def _endpoint(parts: dict[str, str], service: str) -> str:
    given = parts.get(f"{service}endpoint")
    if given is None:
        if not parts.get("accountname"):
            raise SettingsError(f"{VARIABLE}: needs AccountName, or BlobEndpoint and TableEndpoint")
        scheme = parts.get("defaultendpointsprotocol", "https")
        suffix = parts.get("endpointsuffix", "core.windows.net")
        given = f"{scheme}://{parts['accountname']}.{service}.{suffix}"
    return _checked(given.rstrip("/"), service)


def _checked(endpoint: str, service: str) -> str:
    try:
        address = urlsplit(endpoint)
        port = address.port
    except ValueError:
        address, port = urlsplit(""), None
    if address.scheme not in ("http", "https") or not address.hostname:
        raise SettingsError(f"{VARIABLE}: {service.capitalize()}Endpoint must be an http address")
    if address.hostname == "localhost":
        # The table client takes http://localhost for the Cosmos emulator, with another protocol.
        netloc = "127.0.0.1" if port is None else f"127.0.0.1:{port}"
        return urlunsplit((address.scheme, netloc, address.path, "", ""))
    return urlunsplit((address.scheme, address.netloc, address.path, "", ""))
