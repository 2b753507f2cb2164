"""What a route asks of the one who comes."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request

from jobfleet_contracts.event import NAMELESS
from jobfleet_dashboard.problems import forbidden, not_authenticated
from jobfleet_dashboard.security.principal import Principal, Role


def principal_of(request: Request) -> Principal | None:
    """Return who asks; ``None`` only on routes that are open to everybody."""
    principal: Principal | None = request.state.principal
    return principal


def asker(request: Request) -> str | None:
    """Return the caller's name, which events store as ``by``. ``None`` without keys."""
    principal = principal_of(request)
    return None if principal is None else principal.name


def asker_name(request: Request) -> str:
    """Return the caller's name for the control log, ``NAMELESS`` without keys."""
    return asker(request) or NAMELESS


def require(role: Role) -> Any:
    """Return the dependency that lets only this role and higher ones in: 401, 403."""

    async def check(request: Request) -> None:
        principal = principal_of(request)
        if principal is None:
            raise not_authenticated("this request needs an API key")
        if not principal.may(role):
            raise forbidden(f"key {principal.name} is a {principal.role}; this needs {role}")

    return Depends(check)
