"""The kinds of server, wherever they come from."""

from abc import ABC, abstractmethod


class DevelopmentServer(ABC):
    """Every method blocks until it is done; in a coroutine call it through `asyncio.to_thread`."""

    variable: str
    """The environment variable that tells jobfleet the address."""

    @property
    @abstractmethod
    def address(self) -> str:
        """What the variable is set to."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where the server comes from, for a person to read; holds no secret."""

    @property
    def process_id(self) -> int | None:
        """The process on this machine that is the parent of all its others; `None`: not known."""
        return None

    @abstractmethod
    def start(self) -> None:
        """Returns when a client is served; does nothing to a server that runs already."""

    @abstractmethod
    def stop(self) -> None:
        """Ends it in good order. Stored data stays. A server that is not ours is left running."""

    @abstractmethod
    def kill(self) -> None:
        """Ends it as a power cut would; `start` brings it back with its stored data."""

    def restart(self) -> None:
        self.stop()
        self.start()


class RabbitMQServer(DevelopmentServer):
    variable = "JOBFLEET_RABBITMQ_URL"

    @property
    def url(self) -> str:
        return self.address

    @abstractmethod
    def control(self, *arguments: str) -> str:
        """Runs rabbitmqctl against this node and returns what it printed."""

    def set_consumer_timeout(self, seconds: float) -> None:
        """For channels opened from now on; they look at the clock once a second."""
        timeout_ms = int(seconds * 1_000)
        self.control("eval", f"application:set_env(rabbit, consumer_timeout, {timeout_ms}).")
        self.control("eval", "application:set_env(rabbit, channel_tick_interval, 1000).")

    def set_memory_watermark(self, fraction: float) -> None:
        """A tiny fraction raises the memory alarm, which blocks every publisher; 0.4 ends it."""
        self.control("set_vm_memory_high_watermark", str(fraction))


class StorageServer(DevelopmentServer):
    variable = "JOBFLEET_STORAGE_CONNECTION_STRING"

    @property
    def connection_string(self) -> str:
        return self.address


class PostgresServer(DevelopmentServer):
    variable = "JOBFLEET_POSTGRES_URL"

    @property
    def url(self) -> str:
        return self.address
