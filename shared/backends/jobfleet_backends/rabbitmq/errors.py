"""What the client library raises, in the words of jobfleet's errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from aio_pika import exceptions as amqp

# Two that aio-pika raises and does not export.
from aiormq.exceptions import ChannelAccessRefused, ConnectionNotAllowed

from jobfleet_backends.rabbitmq.aio_pika_patches import ConnectionLost, name_lost_connections
from jobfleet_contracts.errors import (
    BackendError,
    BackendForbidden,
    BackendUnavailable,
    Unroutable,
)

K = TypeVar("K")

_LIBRARY = (amqp.AMQPError, amqp.ChannelInvalidStateError, OSError, EOFError, RuntimeError)


@contextmanager
def translate_errors(address: str, doing: str, *, permission: str = "") -> Iterator[None]:
    """Translate errors of one conversation with the broker.

    Args:
        address: host and port, without secrets.
        doing: what is tried, as it follows "cannot".
        permission: what the user needs for it, ``configure``, ``write`` or ``read``.

    Raises:
        BackendForbidden: user, password, virtual host or permission refused.
        Unroutable: no queue or no exchange takes the message.
        BackendUnavailable: anything else; it may have been done.
    """
    try:
        with name_lost_connections():
            yield
    except TimeoutError:
        raise BackendUnavailable(f"cannot {doing}: RabbitMQ at {address} is silent") from None
    except ConnectionLost as error:
        raise BackendUnavailable(
            f"cannot {doing}: the connection to RabbitMQ at {address} was lost"
        ) from error
    except _LIBRARY as error:
        raise _translated(error, address, doing, permission) from error


async def problems_of(attempts: Mapping[K, Awaitable[None]]) -> dict[K, BackendUnavailable]:
    """Make all attempts at once; return what was unavailable, raise what else went wrong."""
    results = await asyncio.gather(*attempts.values(), return_exceptions=True)
    problems = dict[K, BackendUnavailable]()
    for key, result in zip(attempts, results, strict=True):
        if isinstance(result, BackendUnavailable):
            problems[key] = result
        elif isinstance(result, BaseException):
            raise result
    return problems


def _translated(error: Exception, address: str, doing: str, permission: str) -> BackendError:
    match error:
        case amqp.AuthenticationError() | amqp.ProbableAuthenticationError():
            return BackendForbidden(
                f"cannot {doing}: RabbitMQ at {address} refuses user or password; "
                "correct JOBFLEET_RABBITMQ_URL"
            )
        case ChannelAccessRefused():
            return BackendForbidden(
                f"cannot {doing}: the RabbitMQ user at {address} lacks the permission "
                f"{permission!r} (rabbitmqctl set_permissions): {error}"
            )
        case ConnectionNotAllowed() | amqp.ConnectionClosed(args=(530, *_)):
            return BackendForbidden(
                f"cannot {doing}: RabbitMQ at {address} refuses the virtual host: "
                f"{_error_text(error)}"
            )
        case amqp.PublishError() | amqp.ChannelNotFoundEntity():
            return Unroutable(f"cannot {doing}: nothing at {address} takes it: {error}")
        case amqp.ChannelPreconditionFailed():
            return BackendUnavailable(
                f"cannot {doing}: RabbitMQ at {address} has it with other properties; delete it "
                f"or choose another JOBFLEET_NAMESPACE: {error}"
            )
    return BackendUnavailable(f"cannot {doing}: RabbitMQ at {address}: {_error_text(error)}")


def _error_text(error: Exception) -> str:
    return ", ".join(str(part) for part in error.args if part) or type(error).__name__
