import pytest

from devtools.servers import RabbitMQServer
from devtools.servers.probes import rabbitmq_accepts_login

pytestmark = pytest.mark.servers


def test_the_shared_rabbitmq_accepts_a_login(rabbitmq: RabbitMQServer) -> None:
    assert rabbitmq_accepts_login(rabbitmq.url)


def test_a_killed_rabbitmq_comes_back_at_the_same_address_with_its_data(
    own_rabbitmq: RabbitMQServer,
) -> None:
    own_rabbitmq.control("add_vhost", "kept")
    url = own_rabbitmq.url

    own_rabbitmq.kill()
    assert not rabbitmq_accepts_login(url)

    own_rabbitmq.start()
    assert own_rabbitmq.url == url
    assert "kept" in own_rabbitmq.control("list_vhosts")


def test_the_limits_of_a_node_can_be_changed_while_it_runs(own_rabbitmq: RabbitMQServer) -> None:
    own_rabbitmq.set_consumer_timeout(5)
    own_rabbitmq.set_memory_watermark(0.3)

    timeout = own_rabbitmq.control("eval", "application:get_env(rabbit, consumer_timeout).")
    watermark = own_rabbitmq.control("eval", "vm_memory_monitor:get_vm_memory_high_watermark().")
    assert timeout.strip() == "{ok,5000}"
    assert watermark.strip() == "0.3"
