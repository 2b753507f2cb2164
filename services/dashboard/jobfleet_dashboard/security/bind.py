"""Where a dashboard may listen."""

from __future__ import annotations

from jobfleet_contracts.errors import SettingsError
from jobfleet_contracts.own_host import is_loopback
from jobfleet_dashboard.options import DashboardOptions


def check_bind(host: str, options: DashboardOptions) -> None:
    """Check that a dashboard without keys is not open to the world.

    Raises:
        SettingsError: says what to set instead.
    """
    if options.api_keys or options.trust_network or is_loopback(host):
        return
    raise SettingsError(
        f"host {host or '(all addresses)'}: without keys the dashboard listens on 127.0.0.1 only. "
        "Set JOBFLEET_API_KEYS (make one with `jobfleet keys new NAME ROLE`), or "
        "JOBFLEET_TRUST_NETWORK=true where only trusted users reach this network"
    )
