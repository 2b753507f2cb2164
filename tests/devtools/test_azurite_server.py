import pytest
from azure.storage.blob import BlobServiceClient

from devtools.servers import StorageServer
from devtools.servers.probes import storage_answers

pytestmark = pytest.mark.servers


def test_the_shared_azurite_lists_containers_and_tables(azurite: StorageServer) -> None:
    assert storage_answers(azurite.connection_string)


def test_a_killed_azurite_comes_back_at_the_same_address(own_azurite: StorageServer) -> None:
    address = own_azurite.connection_string

    own_azurite.kill()
    assert not storage_answers(address)

    own_azurite.start()
    assert own_azurite.connection_string == address


def test_a_restarted_azurite_has_its_containers(own_azurite: StorageServer) -> None:
    with BlobServiceClient.from_connection_string(own_azurite.connection_string) as blobs:
        blobs.create_container("kept")
        own_azurite.restart()
        assert [container.name for container in blobs.list_containers()] == ["kept"]
