"""Tells when a channel, or a consumer on it, is gone."""

from __future__ import annotations

from collections.abc import Callable

from aio_pika.abc import AbstractChannel


class ChannelWatch:
    """Calls ``lost`` when the channel closes or the broker cancels one of its consumers."""

    def __init__(self, *, channel: AbstractChannel, lost: Callable[[], None]) -> None:
        self._channel = channel
        self._lost = lost

    async def start(self) -> None:
        """Begin; raises ChannelInvalidStateError where the channel was never opened."""
        self._channel.close_callbacks.add(self._on_gone)
        # A queue was deleted: aio-pika's plain channel tells nobody, the one below it does.
        below = await self._channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.add(self._on_gone)

    async def stop(self) -> None:
        """End: a channel lives longer than most who watch it."""
        self._channel.close_callbacks.discard(self._on_gone)
        below = await self._channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.discard(self._on_gone)

    def _on_gone(self, *_: object) -> None:
        self._lost()
