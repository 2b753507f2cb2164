"""Names the concrete backend, in one place."""

from __future__ import annotations

from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import SettingsError
from jobfleet_contracts.missing_extra import remedy


async def open_backend(settings: Settings) -> Backend:
    """Open the configured backend on the running event loop.

    Servers may be away: what needs them raises ``BackendUnavailable`` until they are back.

    Raises:
        SettingsError: the embedded database cannot be created or is corrupt, or an address
            cannot be parsed; the message names it. Or the libraries of the servers are not
            installed; it holds the command.
    """
    if settings.backend == "embedded":
        from jobfleet_backends.sqlite.backend import open_embedded

        return await open_embedded(settings)
    try:
        from jobfleet_backends.azure_backend import open_azure
    except ModuleNotFoundError as error:
        raise SettingsError(remedy("JOBFLEET_BACKEND=azure", "azure,rabbitmq", error)) from None
    return await open_azure(settings)
