"""Settings as they may be shown: passwords, keys and secrets replaced."""

from __future__ import annotations

import re
from typing import Any

from pydantic import SecretStr

from jobfleet_backends.settings import SECRET_PREFIX, Settings, variable_of

HIDDEN = "***"
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):([^/\s]*)@")
_CONNECTION_SECRET = re.compile(r"(?i)\b(AccountKey|SharedAccessSignature|SharedAccessKey)=[^;]*")
_SIGNATURE = re.compile(r"(?i)([?&]sig=)[^&;]*")
_SHOWN_IN_PART = frozenset({"rabbitmq_url", "storage_connection_string"})


def redact(text: str) -> str:
    """Return an address or connection string without its secrets."""
    text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = _CONNECTION_SECRET.sub(rf"\1={HIDDEN}", text)
    return _SIGNATURE.sub(rf"\1{HIDDEN}", text)


def redacted_settings(settings: Settings) -> dict[str, Any]:
    """Return each setting under the name of its variable."""
    shown = {
        variable_of(name): _shown(name, getattr(settings, name))
        for name in type(settings).model_fields
    }
    return shown | {SECRET_PREFIX + name: HIDDEN for name in sorted(settings.secrets)}


def _shown(name: str, value: Any) -> Any:
    if name == "api_keys":
        return ",".join(f"{entry.rpartition(':')[0] or HIDDEN}:{HIDDEN}" for entry in value)
    if isinstance(value, SecretStr):
        return redact(value.get_secret_value()) if name in _SHOWN_IN_PART else HIDDEN
    if isinstance(value, tuple):
        return ",".join(str(_shown(name, part)) for part in value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))
