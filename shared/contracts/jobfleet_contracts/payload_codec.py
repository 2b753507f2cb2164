"""What a user's payload codec offers, and how ``JOBFLEET_PAYLOAD_CODEC`` names one."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Protocol, runtime_checkable

from jobfleet_contracts.errors import SettingsError

MIN_DIGEST_KEY_BYTES = 16


@runtime_checkable
class PayloadCodec(Protocol):
    """Encodes the values of jobs before they leave the process; encryption, as a rule.

    Several threads call it at once. It must not quote a value in an error.

    Attributes:
        digest_key: at least 16 bytes: key of the HMACs that stand for clear text in digests and in
            the index. It is the same in all processes, and stays when the encryption key changes.
    """

    digest_key: bytes

    def encode(self, data: bytes) -> tuple[bytes, str]:
        """Return the encoded bytes, and the id of the key: 1 to 100 of ``A-Za-z0-9_.:-``."""
        ...

    def decode(self, data: bytes, key_id: str) -> bytes:
        """Return the clear bytes.

        Raises:
            LookupError: this process does not have the key. Its jobs are left to other workers.
            Exception: the data are not what ``encode`` made.
        """
        ...


def load_codec(name: str) -> PayloadCodec:
    """Return the codec that a setting names as ``module:object``.

    Raises:
        SettingsError: it cannot be imported, or is not a codec; says why.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute.isidentifier():
        raise SettingsError(
            f"JOBFLEET_PAYLOAD_CODEC is {name!r}; write module:object, as shop.codec:codec"
        )
    if "" not in sys.path:  # as for handlers: from the working folder, or installed
        sys.path.insert(0, "")
    try:
        codec: Any = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # the module's own code may raise anything, and hold a key
        raise SettingsError(
            f"JOBFLEET_PAYLOAD_CODEC: {name} cannot be imported ({type(error).__name__})"
        ) from error
    _check(codec, name)
    return codec  # type: ignore[no-any-return]


def _check(codec: Any, name: str) -> None:
    if isinstance(codec, type) or not isinstance(codec, PayloadCodec):
        raise SettingsError(
            f"JOBFLEET_PAYLOAD_CODEC: {name} is not a codec; an object with encode(data), "
            "decode(data, key_id) and digest_key is wanted"
        )
    key: Any = codec.digest_key
    if not isinstance(key, bytes) or len(key) < MIN_DIGEST_KEY_BYTES:
        raise SettingsError(
            f"JOBFLEET_PAYLOAD_CODEC: digest_key of {name} is not at least "
            f"{MIN_DIGEST_KEY_BYTES} bytes"
        )
