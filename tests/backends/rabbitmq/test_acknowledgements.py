"""Acknowledgements of one channel that are sent side by side."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractIncomingMessage

from jobfleet_backends.rabbitmq.acknowledgements import Acknowledgements


class Channel:
    """What the broker knows of a channel; it closes one that acknowledges a delivery twice."""

    def __init__(self, deliveries: int, dice: Random) -> None:
        self.unacknowledged = set(range(1, deliveries + 1))
        self.refused: list[int] = []
        self.dice = dice

    def acknowledge(self, tag: int, *, multiple: bool) -> None:
        if tag not in self.unacknowledged:
            self.refused.append(tag)
        gone = {other for other in self.unacknowledged if other <= tag} if multiple else {tag}
        self.unacknowledged -= gone


class Delivery:
    """Sends its acknowledgement at once, and waits until the connection has written it."""

    def __init__(self, channel: Channel, tag: int) -> None:
        self.delivery_tag = tag
        self._channel = channel

    async def ack(self, multiple: bool = False) -> None:
        self._channel.acknowledge(self.delivery_tag, multiple=multiple)
        for _ in range(self._channel.dice.randrange(4)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(50))
async def test_of_many_sent_at_once_each_delivery_is_acknowledged_exactly_once(seed: int) -> None:
    """RabbitMQ closes a channel that names a delivery twice: its queue then rests for 5 s."""
    dice = Random(seed)
    channel = Channel(100, dice)
    deliveries: list[Any] = [Delivery(channel, tag) for tag in range(1, 101)]
    dice.shuffle(deliveries)
    acknowledgements = Acknowledgements()
    sent = []
    while deliveries:
        some = [deliveries.pop() for _ in range(min(dice.randint(1, 20), len(deliveries)))]
        some.sort(key=lambda delivery: delivery.delivery_tag)
        sent.append(acknowledgements.send(cast("list[AbstractIncomingMessage]", some)))
    await asyncio.gather(*sent)
    assert not channel.refused
    assert not channel.unacknowledged
