"""What keeps a private RabbitMQ node apart from any other on the same machine."""

import os
from pathlib import Path

# The write-ahead log takes 512 MB by default before it is rolled: too much for a test folder.
_CONFIGURATION = """\
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 64000000
log.file.level = info
"""
# Idle schedulers spin by default, which starves the tests on a small machine.
_NO_BUSY_WAITING = "+sbwt none +sbwtdcpu none +sbwtdio none"
_ON_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"


def node_environment(folder: Path, ports: dict[str, int]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return kept | {
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "RABBITMQ_NODENAME": f"jobfleet-{ports['amqp']}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(ports["amqp"]),
        "RABBITMQ_DIST_PORT": str(ports["distribution"]),
        "RABBITMQ_CTL_DIST_PORT_MIN": str(ports["tools"]),
        "RABBITMQ_CTL_DIST_PORT_MAX": str(ports["tools"] + 10),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_NO_BUSY_WAITING} {_ON_LOOPBACK}",
        "RABBITMQ_CTL_ERL_ARGS": _ON_LOOPBACK,
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
    }


def write_configuration(folder: Path) -> None:
    (folder / "rabbitmq.conf").write_text(_CONFIGURATION)
    (folder / "enabled_plugins").write_text("[].\n")
