"""`python -m devtools.job_schema` writes the published JSON Schema of the job request anew."""

import json
from pathlib import Path
from typing import Any

import jobfleet_contracts
from jobfleet_contracts.job import JobRequest

PUBLISHED = Path(jobfleet_contracts.__file__).parent / "schemas" / "job-request.v1.json"


def job_schema() -> dict[str, Any]:
    """Return the schema of the model, without the titles and Python names that pydantic adds."""
    schema = JobRequest.model_json_schema()
    for name, rule in schema["properties"].items():
        del rule["title"]
        if name not in schema["required"] and "type" in rule:
            schema["properties"][name] = {"anyOf": [rule, {"type": "null"}]}
    schema["description"] = schema["description"].partition("\n")[0]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def main() -> None:
    """Overwrite the published file."""
    PUBLISHED.parent.mkdir(exist_ok=True)
    PUBLISHED.write_text(json.dumps(job_schema(), indent=2) + "\n")


if __name__ == "__main__":
    main()
