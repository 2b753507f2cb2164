"""The environment, read once: frozen settings for every service."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jobfleet_backends.env_file import ENCODING, read_env_file
from jobfleet_contracts.callback_target import CallbackTarget
from jobfleet_contracts.credentials import HIDDEN, masked_text
from jobfleet_contracts.errors import SettingsError
from jobfleet_contracts.lease import LockScope
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.signing_key import signing_key
from jobfleet_contracts.trace_id import TRACE_ID

PREFIX = "JOBFLEET_"
ENV_FILE = ".env"
SECRET_PREFIX = "JOBFLEET_SECRET_"  # noqa: S105 - a name, not a secret
TARGET_PREFIX = "JOBFLEET_CALLBACK_SECRET_"
_HOSTS_SUFFIX = "_HOSTS"
_PREFIXES = (SECRET_PREFIX, TARGET_PREFIX)

LONGEST_SECONDS = 30 * 86_400
"""As of a job request's ``timeoutSeconds``: what is endless cannot be stored or waited for."""

Names = Annotated[tuple[str, ...], NoDecode]
Seconds = Annotated[float, Field(le=LONGEST_SECONDS)]


def _at_home(path: Path) -> Path:
    # No shell has read what stands in ``.env``.
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path} begins with ~, and there is no such home: {error}") from None


UserPath = Annotated[Path, AfterValidator(_at_home)]
"""Every setting that is a path: ``~`` at its begin is the user's home."""

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]*[A-Za-z0-9_~-])+")
_HOST = re.compile(r"(\*\.)?[^\s/:@*]+|[0-9A-Fa-f:.]+")


def is_loopback_host(host: str) -> bool:
    """Whether a host of an address is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Settings(BaseSettings):
    """Effective settings; order: flag, environment, ``.env``, default.

    Seconds are seconds on a monotonic clock. Every name is documented in docs/configuration.md.
    ``AZURE_CLIENT_ID`` (a user-assigned identity) and ``AZURE_TOKEN_CREDENTIALS`` (a developer's
    own sign-in instead of the managed identity) are names of the Azure libraries.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_file_encoding=ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    url: str | None = None
    api_key: SecretStr | None = None
    backend: Literal["embedded", "azure", "postgres"] = "embedded"
    data_dir: UserPath = Path(".jobfleet")
    postgres_url: SecretStr = SecretStr("postgresql://localhost:5432/jobfleet")
    postgres_schema: str = Field(default="jobfleet", pattern=r"^[a-z_][a-z0-9_]{0,49}$")
    rabbitmq_url: SecretStr = Field(
        default=SecretStr("amqp://guest:guest@localhost:5672/"),
        validation_alias=AliasChoices("JOBFLEET_RABBITMQ_URL", "RABBITMQ_URL", "AMQP_URL"),
    )
    storage_connection_string: SecretStr = Field(
        default=SecretStr("UseDevelopmentStorage=true"),
        validation_alias=AliasChoices(
            "JOBFLEET_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_CONNECTION_STRING"
        ),
    )
    storage_account: str | None = Field(default=None, pattern=r"^[a-z0-9]{3,24}$")
    azure_client_id: str | None = Field(default=None, validation_alias="AZURE_CLIENT_ID")
    azure_token_credentials: str | None = Field(
        default=None, validation_alias="AZURE_TOKEN_CREDENTIALS"
    )
    namespace: str = Field(default="jobfleet", pattern=r"^[A-Za-z0-9_.-]{1,60}$")
    lock_container: str = Field(default="job-locks", pattern=r"^[a-z0-9](-?[a-z0-9]){2,62}$")
    audit_table: str = Field(default="JobAuditTrail", pattern=r"^[A-Za-z][A-Za-z0-9]{2,48}$")
    index_shards: int = Field(default=4, ge=1, le=64)
    lock_scope: LockScope = "job"
    lease_seconds: int = Field(default=60, ge=15, le=60)
    lease_renew_seconds: float = Field(default=20, gt=0)
    rescue_seconds: Seconds = Field(default=5, gt=0)
    defer_seconds: float = Field(default=10, gt=0, le=60)
    concurrency: int = Field(default=10, ge=1, le=1000)
    processes: int | None = Field(default=None, ge=1, le=1000)
    max_jobs_per_process: int = Field(default=100, ge=1)
    max_memory_per_process: int | None = Field(default=None, ge=1)
    queues: Names = ("default",)
    handlers: Names = ()
    max_attempts: int = Field(default=3, ge=1, le=100)
    retry_base_seconds: Seconds = Field(default=2, ge=0)
    retry_max_seconds: Seconds = Field(default=300, gt=0)
    job_timeout_seconds: Seconds = Field(default=1800, gt=0)
    drain_seconds: Seconds = Field(default=30, ge=0)
    no_handler_seconds: Seconds = Field(default=60, ge=0)
    max_jobs: int | None = Field(default=None, ge=1)
    max_memory: int | None = Field(default=None, ge=1)
    max_queue_size: int | None = Field(default=None, ge=1)
    payload_codec: str | None = None
    http_timeout_seconds: Seconds = Field(default=10, gt=0)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_open_seconds: Seconds = Field(default=30, gt=0)
    callback_base_url: str | None = None
    root_path: str | None = None
    callback_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    allowed_hosts: Names = ()
    allow_private_targets: bool = False
    allow_secrets_over_http: bool = False
    allowed_headers: Names = ()
    blocked_headers: Names = ()
    api_keys: Names = ()
    session_secret: SecretStr | None = None
    trust_network: bool = False
    rate_limit: str = Field(
        default="1000/minute", pattern=r"^[1-9]\d* ?/ ?(second|minute|hour|day)$"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] | None = None
    log_file: UserPath | None = None
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    retention_days: float | None = Field(default=None, gt=0, le=36_500)
    job_logs: bool = True
    trace_url: str | None = None

    @field_validator(
        "queues",
        "handlers",
        "callback_secrets",
        "allowed_hosts",
        "allowed_headers",
        "blocked_headers",
        "api_keys",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return _parts(value)
        return value

    @field_validator("queues")
    @classmethod
    def _queue_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(re.fullmatch(r"[a-z0-9_-]{1,50}", name) for name in value):
            raise ValueError("queue names are 1 to 50 of a-z, 0-9, _ and -, comma-separated")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_lower_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            _check_host(name)
        return value

    @field_validator("url")
    @classmethod
    def _dashboard_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        host = parts.hostname or ""
        if parts.username or parts.query or parts.fragment or not host:
            raise ValueError("must be an address like https://jobs.example.org")
        if parts.scheme == "https" or (parts.scheme == "http" and is_loopback_host(host)):
            return value.rstrip("/")
        raise ValueError("must begin with https://: the key would be readable on the way")

    @field_validator("session_secret")
    @classmethod
    def _session_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            signing_key(value.get_secret_value())
        return value

    @field_validator("callback_secrets")
    @classmethod
    def _callback_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for place, secret in enumerate(value, start=1):
            try:
                signing_key(secret.get_secret_value())
            except ValueError as error:
                raise ValueError(f"secret {place} {error}") from None
        return value

    @field_validator("callback_base_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None and not _is_web_address(value):
            raise ValueError("must be an http or https address, as https://jobs.example.org")
        return value

    @field_validator("root_path")
    @classmethod
    def _path_of_a_host(cls, value: str | None) -> str | None:
        if value is not None and not _ROOT_PATH.fullmatch(value):
            raise ValueError("must be a path without a / at its end, as /jobs or /tools/jobs")
        return value

    @field_validator("trace_url")
    @classmethod
    def _trace_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        shown = value.replace(TRACE_ID, "0" * 32)
        if TRACE_ID not in value or not _is_link(shown):
            raise ValueError(
                "must be an http or https address that holds {traceId}, as "
                "https://traces.example.org/trace/{traceId}"
            )
        return value

    @field_validator("lease_renew_seconds")
    @classmethod
    def _three_tries(cls, value: float, info: Any) -> float:
        lease = info.data.get("lease_seconds", 60)
        if value > lease / 2:
            raise ValueError(f"must be at most half the lease ({lease / 2:g} s), better a third")
        return value

    @property
    def job_defaults(self) -> JobDefaults:
        """What applies at submit where a request does not say."""
        return JobDefaults(
            max_attempts=self.max_attempts,
            retry_delay_seconds=self.retry_base_seconds,
            retry_max_seconds=self.retry_max_seconds,
            timeout_seconds=self.job_timeout_seconds,
        )

    @property
    def secrets(self) -> Mapping[str, str]:
        """Values of ``${secret:NAME}``, from ``JOBFLEET_SECRET_<NAME>``."""
        return {
            name.removeprefix(SECRET_PREFIX): value
            for name, value in _environment().items()
            if name.startswith(SECRET_PREFIX) and not name.endswith(_HOSTS_SUFFIX)
        }

    @property
    def secret_hosts(self) -> Mapping[str, tuple[str, ...]]:
        """The only hosts that a secret is sent to, from ``JOBFLEET_SECRET_<NAME>_HOSTS``."""
        return {
            name.removeprefix(SECRET_PREFIX).removesuffix(_HOSTS_SUFFIX): _parts(value)
            for name, value in _environment().items()
            if name.startswith(SECRET_PREFIX) and name.endswith(_HOSTS_SUFFIX)
        }

    @property
    def callback_targets(self) -> Mapping[str, CallbackTarget]:
        """Third parties with secrets of their own, from ``JOBFLEET_CALLBACK_SECRET_<NAME>``."""
        environment = _environment()
        return {
            name.removeprefix(TARGET_PREFIX): CallbackTarget(
                _parts(value), _parts(environment.get(name + _HOSTS_SUFFIX, ""))
            )
            for name, value in environment.items()
            if name.startswith(TARGET_PREFIX) and not name.endswith(_HOSTS_SUFFIX)
        }


def load_settings(**flags: Any) -> Settings:
    """Read flags, environment and ``.env``; flags that are ``None`` do not count.

    Raises:
        SettingsError: one line that names the variable and the remedy.
    """
    environment = _environment()
    _refuse_unknown(environment)
    _check_secret_hosts(environment)
    _refuse_bytes(environment)
    given = {name: value for name, value in flags.items() if value is not None}
    if "lease_renew_seconds" not in given and not environment.get(f"{PREFIX}LEASE_RENEW_SECONDS"):
        given |= _renew_in_thirds(given, environment)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = variable_of(str(problem["loc"][0])) if problem["loc"] else "settings"
        raise SettingsError(f"{name}: {problem['msg'].removeprefix('Value error, ')}") from None
    _check_working_folder(settings)
    return settings


def _check_working_folder(settings: Settings) -> None:
    if settings.backend != "embedded" or settings.data_dir.is_absolute():
        return
    try:
        Path.cwd()
    except OSError:
        raise SettingsError(
            f"JOBFLEET_DATA_DIR: {settings.data_dir} lies in the working folder, which was "
            "deleted; change into another folder, or name an absolute one"
        ) from None


def variable_of(name: str) -> str:
    """Return the variable of a setting, from the setting's name or the variable's."""
    if name in Settings.model_fields:
        alias = Settings.model_fields[name].validation_alias
        return alias if isinstance(alias, str) else PREFIX + name.upper()
    return name


def variables_of(name: str) -> tuple[str, ...]:
    """Return every variable that a setting is read from, the first one wins."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (variable_of(name),)


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    alone = not (parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and alone


def _is_link(text: str) -> bool:
    """Whether a browser can follow it; a query and a fragment are part of many such addresses."""
    if not text.isascii() or any(sign.isspace() or sign in "<>\"'`{}\\" for sign in text):
        return False
    parts = urlsplit(text)
    return _is_web_address(parts._replace(query="", fragment="").geturl())


def _environment() -> dict[str, str]:
    """Return what ``.env`` says, and over it this process's variables; an empty one hides none."""
    stored = read_env_file(Path(ENV_FILE))
    held = {name: value for name, value in os.environ.items() if value or name not in stored}
    return stored | held


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _check_host(name: str) -> None:
    if not _HOST.fullmatch(name):
        # A web address may hold a password, and this text stands in logs.
        shown = f"{HIDDEN} (with user info)" if "@" in name else repr(masked_text(name))
        raise ValueError(f"{shown} is not a host; leave scheme, user info, port and path out")


def _check_secret_hosts(environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        if name.startswith(TARGET_PREFIX) and not name.endswith(_HOSTS_SUFFIX):
            _check_target(name, value)
        if not (name.startswith(_PREFIXES) and name.endswith(_HOSTS_SUFFIX)):
            continue
        secret = name.removesuffix(_HOSTS_SUFFIX)
        if secret not in environment:
            raise SettingsError(f"{name}: {secret} is not set; set it, or remove its hosts")
        if not _parts(value):
            raise SettingsError(f"{name}: names no host; remove it, or name some")
        try:
            for host in _parts(value):
                _check_host(host)
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from None


def _check_target(name: str, value: str) -> None:
    for place, secret in enumerate(_parts(value), start=1):
        try:
            signing_key(secret)
        except ValueError as error:
            raise SettingsError(f"{name}: secret {place} {error}") from None
    if not _parts(value):
        raise SettingsError(f"{name}: names no secret; set one, or remove it")


def _renew_in_thirds(given: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, float]:
    """A shorter lease is renewed in proportion, so that three tries fit into it."""
    lease = given.get("lease_seconds") or environment.get(f"{PREFIX}LEASE_SECONDS") or "60"
    try:
        return {"lease_renew_seconds": min(20.0, float(lease) / 3)}
    except ValueError:
        return {}


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {variable_of(name) for name in Settings.model_fields}
    for name in environment:
        if name.startswith(PREFIX) and name not in known and not name.startswith(_PREFIXES):
            raise SettingsError(f"{name}: unknown setting; see `jobfleet config show` for all")


def _refuse_bytes(environment: Mapping[str, str]) -> None:
    ours = {variable for name in Settings.model_fields for variable in variables_of(name)}
    for name, value in environment.items():
        if (name in ours or name.startswith(PREFIX)) and not is_utf8(value):
            raise SettingsError(f"{name}: its value is not UTF-8; give it in UTF-8")


def is_utf8(text: str) -> bool:
    """Return whether the text came from bytes that are UTF-8 (others become lone surrogates)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
