"""`python -m devtools.compose_check`: docker-compose.yml fits the schema and keeps our promises."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml

_ROOT = Path(__file__).parents[1]
_SCHEMA = Path(__file__).parent / "compose_schema" / "compose_spec.json"


def main() -> int:
    compose = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())
    faults = [*schema_faults(compose), *open_port_faults(compose), *unpinned_faults(compose)]
    faults += missing_target_faults(compose)
    faults += azurite_faults(compose, json.loads((_ROOT / "package.json").read_text()))
    for fault in faults:
        print(f"docker-compose.yml: {fault}", file=sys.stderr)
    return 1 if faults else 0


def schema_faults(compose: dict[str, Any]) -> list[str]:
    schema = json.loads(_SCHEMA.read_text())
    errors = jsonschema.Draft201909Validator(schema).iter_errors(compose)
    return [f"{error.json_path}: {error.message}" for error in errors]


def open_port_faults(compose: dict[str, Any]) -> list[str]:
    return [
        f"{name}: port {port} is open to the network"
        for name, service in compose["services"].items()
        for port in service.get("ports", [])
        if not str(port).startswith("127.0.0.1:")
    ]


def unpinned_faults(compose: dict[str, Any]) -> list[str]:
    images = [service.get("image") for service in compose["services"].values()]
    return [f"{image} is not pinned" for image in images if image and not _is_pinned(image)]


def missing_target_faults(compose: dict[str, Any]) -> list[str]:
    builds = [service["build"] for service in compose["services"].values() if "build" in service]
    stages = targets((_ROOT / "Dockerfile").read_text())
    return [
        f"{build.get('target')} is no target of Dockerfile"
        for build in builds
        if build.get("target") not in stages
    ]


def azurite_faults(compose: dict[str, Any], package: dict[str, Any]) -> list[str]:
    """Compare with the Azurite that tests and benchmarks run: versions differ in speed."""
    version = compose["services"]["azurite"]["image"].rpartition(":")[2]
    tested = package["devDependencies"]["azurite"]
    if version == tested:
        return []
    return [f"Azurite is {version} here and {tested} in package.json"]


def targets(dockerfile: str) -> set[str]:
    """Return the names of a Dockerfile's stages."""
    return set(re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE))


def _is_pinned(image: str) -> bool:
    tag = image.rpartition(":")[2]
    return any(character.isdigit() for character in tag) and "/" not in tag


if __name__ == "__main__":
    sys.exit(main())
