"""Settings as they may be shown: passwords, keys and secrets replaced.

What can be parsed is shown without its secrets; what cannot is not shown at all.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import SecretStr

from jobfleet_backends.settings import SECRET_PREFIX, TARGET_PREFIX, Settings, variable_of

HIDDEN = "***"
_ADDRESS = re.compile(
    r"(?P<scheme>(?:amqps?|https?|postgres(?:ql)?)://)"
    r"(?:(?P<user>[\w.%~+-]*)(?P<password>:.*)?@)?"  # up to the last @: passwords may hold one
    r"(?P<place>(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d+)?(?:/[\w.%~/-]*)?)"
    r"(?P<query>\?\S*)?",
    re.IGNORECASE | re.ASCII,
)
_NAME = re.compile(r"[A-Za-z]{1,60}")
_PLAIN_PARTS = {
    "defaultendpointsprotocol": re.compile(r"https?"),
    "accountname": re.compile(r"[a-z0-9]{1,24}"),
    "endpointsuffix": re.compile(r"[A-Za-z0-9.-]+"),
    "usedevelopmentstorage": re.compile(r"true|false", re.IGNORECASE),
}
_ADDRESS_PARTS = frozenset(
    {"blobendpoint", "tableendpoint", "queueendpoint", "fileendpoint", "developmentstorageproxyuri"}
)


def redacted_address(text: str) -> str:
    """Return an address without password and query; ``***`` if it is none."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return HIDDEN
    at = ""
    if found["user"] is not None:  # alone it can be a token
        at = f"{found['user']}:{HIDDEN}@" if found["password"] else f"{HIDDEN}@"
    return f"{found['scheme']}{at}{found['place']}{f'?{HIDDEN}' if found['query'] else ''}"


def redacted_connection_string(text: str) -> str:
    """Return the parts of a connection string that hold no secret; ``***`` for all others."""
    return ";".join(_part(part) for part in text.split(";") if part)


def redacted_settings(settings: Settings) -> dict[str, Any]:
    """Return each setting under the name of its variable."""
    shown = {
        variable_of(name): _shown(name, getattr(settings, name))
        for name in type(settings).model_fields
    }
    for name in sorted(settings.secrets):
        shown[SECRET_PREFIX + name] = HIDDEN
    for name, hosts in sorted(settings.secret_hosts.items()):
        shown[f"{SECRET_PREFIX}{name}_HOSTS"] = ",".join(hosts)
    for name, target in sorted(settings.callback_targets.items()):
        shown[TARGET_PREFIX + name] = HIDDEN
        if target.hosts:
            shown[f"{TARGET_PREFIX}{name}_HOSTS"] = ",".join(target.hosts)
    return shown


def redacted_servers(settings: Settings) -> str:
    """Return the settings that say where the backend's servers or files are."""
    shown = {name: _shown(name, getattr(settings, name)) for name in _PLACES[settings.backend]}
    return ", ".join(f"{variable_of(name)}={value}" for name, value in shown.items() if value)


_PLACES = {
    "azure": ("storage_connection_string", "storage_account", "rabbitmq_url"),
    "postgres": ("postgres_url",),
    "embedded": ("data_dir",),
}
_REDACTIONS = {
    "rabbitmq_url": redacted_address,
    "postgres_url": redacted_address,
    "storage_connection_string": redacted_connection_string,
}
"""Secret settings that are shown in part."""


def _part(part: str) -> str:
    name, separator, value = part.strip().partition("=")
    if not separator or not _NAME.fullmatch(name):
        return HIDDEN
    plain = _PLAIN_PARTS.get(name.lower())
    if plain is not None and plain.fullmatch(value):
        return f"{name}={value}"
    return f"{name}={redacted_address(value) if name.lower() in _ADDRESS_PARTS else HIDDEN}"


def _shown(name: str, value: Any) -> Any:
    if name == "api_keys":
        return ",".join(f"{entry.rpartition(':')[0] or HIDDEN}:{HIDDEN}" for entry in value)
    if isinstance(value, SecretStr):
        return _REDACTIONS.get(name, _hidden)(value.get_secret_value())
    if isinstance(value, tuple):
        return ",".join(str(_shown(name, part)) for part in value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return redacted_address(str(value)) if "://" in str(value) else str(value)


def _hidden(_text: str) -> str:
    return HIDDEN
