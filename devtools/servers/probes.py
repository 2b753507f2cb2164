"""Whether a server serves: asked the way a client asks, not by a look at its port."""

import logging
from typing import Any

import pika
import psycopg
from azure.core.exceptions import AzureError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from pika.exceptions import AMQPError


def rabbitmq_accepts_login(url: str) -> bool:
    """True when the whole AMQP handshake succeeds, virtual host included."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    parameters = pika.URLParameters(url)
    parameters.connection_attempts = 1
    parameters.socket_timeout = parameters.blocked_connection_timeout = 5
    parameters.stack_timeout = 5
    try:
        pika.BlockingConnection(parameters).close()
    except (AMQPError, OSError):
        return False
    return True


def storage_answers(connection_string: str) -> bool:
    """True when containers and tables can be listed, which needs the right credentials too."""
    once: dict[str, Any] = {"retry_total": 0, "connection_timeout": 2, "read_timeout": 5}
    try:
        with BlobServiceClient.from_connection_string(connection_string, **once) as blobs:
            next(iter(blobs.list_containers(results_per_page=1)), None)
        with TableServiceClient.from_connection_string(connection_string, **once) as tables:
            next(iter(tables.list_tables(results_per_page=1)), None)
    except AzureError:
        return False
    return True


def postgres_answers(url: str) -> bool:
    """True when a session can be opened, which needs the right password and database too."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True
