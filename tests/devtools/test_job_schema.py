"""The published JSON Schema says what the model says."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from devtools.job_schema import PUBLISHED, job_schema
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import JobRequest

SCHEMA = json.loads(PUBLISHED.read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_the_published_schema_is_the_model_s() -> None:
    assert job_schema() == SCHEMA, "write it anew: python -m devtools.job_schema"


def test_a_whole_job_request_fits() -> None:
    request = {
        "jobId": "0192f0c1-0000-7000-8000-000000000000",
        "type": "report",
        "jobName": "Quarterly report",
        "description": "",
        "payload": {"rows": [1, None]},
        "inputFilePath": "in.csv",
        "processingParameters": {"a": 1},
        "priority": 9,
        "queue": "reports",
        "createdAt": "2026-01-31T09:30:00.000000Z",
        "runAt": "2026-01-31T09:30:00Z",
        "maxAttempts": 100,
        "onLost": "retry",
        "maxTakeovers": 2,
        "retryDelaySeconds": 0,
        "timeoutSeconds": 0.5,
        "lockKey": "customer-42",
        "lockSlots": 3,
        "limits": ["api-stripe", "disk"],
        "callbackUrl": "https://example.org/done",
        "context": {"traceparent": "00-0-0-01"},
        "then": [{"type": "mail", "results": {"rows": "previous"}, "then": [{"type": "note"}]}],
    }
    assert set(request) == set(SCHEMA["properties"])
    assert VALIDATOR.is_valid(request)
    assert JobRequest.parse(request).to_json() == request | {"runAt": "2026-01-31T09:30:00.000000Z"}


def test_an_optional_field_that_is_null_counts_as_absent() -> None:
    nulls = dict.fromkeys(set(SCHEMA["properties"]) - {"type"}) | {"type": "a"}
    assert VALIDATOR.is_valid(nulls)
    request = JobRequest.parse(nulls)
    assert request.digest() == JobRequest.parse({"type": "a"}).digest()
    assert (request.name, request.priority, request.queue) == ("a", 5, "default")


@pytest.mark.parametrize(
    "fields",
    [
        {"type": None},
        {"type": "a b"},
        {"colour": "red"},
        {"job_name": "a"},
        {"jobName": "a" * 201},
        {"description": "a" * 2001},
        {"priority": 10},
        {"priority": "5"},
        {"queue": "A"},
        {"maxAttempts": 0},
        {"timeoutSeconds": 0},
        {"onLost": "redo"},
        {"maxTakeovers": -1},
        {"maxTakeovers": 101},
        {"lockKey": ""},
        {"context": []},
    ],
)
def test_what_the_schema_refuses_the_model_refuses(fields: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({"type": "a"} | fields)
    with pytest.raises(InvalidRequest):
        JobRequest.parse({"type": "a"} | fields)
