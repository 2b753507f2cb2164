"""Probes and metrics."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from jobfleet_contracts.backend import Probe
from jobfleet_contracts.errors import BackendError
from jobfleet_dashboard.api.descriptions import LIVEZ, METRICS, READYZ
from jobfleet_dashboard.api.documents import Alive, CheckDocument, Readiness
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.security.access import principal_of, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of

router = APIRouter(tags=["operations"])


@router.get("/livez", **described(LIVEZ))
async def livez() -> Alive:
    """Say that the process answers."""
    return Alive(status="alive")


@router.get("/readyz", **described(READYZ))
async def readyz(request: Request, response: Response) -> Readiness:
    """Each part of the backend; 503 as long as one cannot be used."""
    try:
        probes: Sequence[Probe] = await services_of(request).backend.probe()
    except BackendError as error:
        probes = [Probe("backend", "", ok=False, detail=str(error))]
    ready = all(probe.ok for probe in probes)
    named = principal_of(request) is not None
    response.status_code = 200 if ready else 503
    return Readiness(
        status="ready" if ready else "not ready",
        checks=[_check(probe, named=named) for probe in probes],
    )


@router.get("/metrics", dependencies=[require(Role.VIEWER)], **described(METRICS))
async def metrics(request: Request) -> Response:
    """Prometheus text."""
    text = await services_of(request).metrics.text()
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _check(probe: Probe, *, named: bool) -> CheckDocument:
    """Addresses are for those who have a key."""
    return CheckDocument(
        part=probe.part,
        ok=probe.ok,
        address=probe.address if named else None,
        detail=probe.detail if named else None,
        remedy=probe.remedy if named else None,
    )
