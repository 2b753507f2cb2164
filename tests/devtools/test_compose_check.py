from devtools import compose_check


def test_the_compose_file_of_this_project_fits() -> None:
    assert compose_check.main() == 0


def test_a_key_that_compose_does_not_know_is_found() -> None:
    compose = {"services": {"worker": {"image": "worker:1", "replicas": 2}}}
    assert "replicas" in compose_check.schema_faults(compose)[0]


def test_a_port_open_to_the_network_is_found() -> None:
    compose = {"services": {"dashboard": {"ports": ["8000:8000"]}}}
    assert compose_check.open_port_faults(compose) == [
        "dashboard: port 8000:8000 is open to the network"
    ]


def test_an_image_without_a_version_is_found() -> None:
    compose = {"services": {"a": {"image": "rabbitmq"}, "b": {"image": "rabbitmq:latest"}}}
    assert len(compose_check.unpinned_faults(compose)) == 2


def test_another_azurite_than_the_tests_run_is_found() -> None:
    compose = {"services": {"azurite": {"image": "mcr.microsoft.com/azurite:3.35.0"}}}
    package = {"devDependencies": {"azurite": "3.37.0"}}
    assert compose_check.azurite_faults(compose, package) == [
        "Azurite is 3.35.0 here and 3.37.0 in package.json"
    ]
