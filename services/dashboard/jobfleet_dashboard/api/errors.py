"""What failed, and how often."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from jobfleet_dashboard.api.descriptions import ERRORS
from jobfleet_dashboard.api.error_documents import ErrorReportDocument
from jobfleet_dashboard.api.filters import ErrorsFilter
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.reading.error_report import ErrorReport, error_range, read_errors
from jobfleet_protocol.reading.masking_turns import in_turn

router = APIRouter(prefix="/api", dependencies=[require(Role.VIEWER)], tags=["fleet"])


@router.get("/errors", **described(ERRORS))
async def errors(request: Request, query: Annotated[ErrorsFilter, Query()]) -> ErrorReportDocument:
    """Failures by type, exception class and place; list their jobs with `/api/jobs?errorGroup=`."""
    services = services_of(request)
    report = await read_errors(
        services.backend.reader, services.clock, error_range(query.range), job_type=query.type
    )
    texts = [group.message for group in report.groups]
    return ErrorReportDocument.model_validate(await in_turn(ErrorReport.to_json, report, texts))
