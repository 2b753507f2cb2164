"""Names the concrete backend, in one place."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

from jobfleet_backends.coded_reader import CodedReader
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import SettingsError
from jobfleet_contracts.missing_extra import remedy
from jobfleet_contracts.payload_codec import load_codec
from jobfleet_contracts.value_coder import ValueCoder


async def open_backend(settings: Settings) -> Backend:
    """Open the configured backend on the running event loop, with the configured payload codec.

    Servers may be away: what needs them raises ``BackendUnavailable`` until they are back.

    Raises:
        SettingsError: the embedded database cannot be created or is corrupt, or an address
            cannot be parsed; the message names it. Or the libraries of the servers are not
            installed; it holds the command. Or the codec cannot be imported.
    """
    if settings.payload_codec is None:
        return await _open(settings)
    coder = ValueCoder(load_codec(settings.payload_codec))  # first: it holds no connection
    return with_coder(await _open(settings), coder)


def with_coder(backend: Backend, coder: ValueCoder) -> Backend:
    """Return the backend for a process that encodes the values of jobs."""
    return replace(backend, coder=coder, reader=CodedReader(backend.reader, coder))


async def _open(settings: Settings) -> Backend:
    if settings.backend == "embedded":
        from jobfleet_backends.sqlite.backend import open_embedded

        return await open_embedded(settings)
    if settings.backend == "postgres":
        opened: Backend = await _postgres().open_postgres(settings)
        return opened
    try:
        from jobfleet_backends.azure_backend import open_azure
    except ModuleNotFoundError as error:
        raise SettingsError(remedy("JOBFLEET_BACKEND=azure", "azure,rabbitmq", error)) from None
    return await open_azure(settings)


def migrate_backend(settings: Settings) -> list[int]:
    """Raise the tables of the configured backend to this release; return the versions passed.

    Raises:
        SettingsError: see :func:`open_backend`.
        BackendError: the server is away, or the role may not make tables.
    """
    if settings.backend != "postgres":
        return []
    passed: list[int] = _postgres().migrate_schema(settings)
    return passed


def _postgres() -> ModuleType:
    try:
        from jobfleet_backends.postgres import backend
    except ModuleNotFoundError as error:
        raise SettingsError(remedy("JOBFLEET_BACKEND=postgres", "postgres", error)) from None
    return backend
