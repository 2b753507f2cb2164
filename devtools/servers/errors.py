"""What can go wrong with a development server."""


class ServerError(Exception):
    """A server could not be started, stopped or reached; the message says which and why."""


class ServerMissingError(ServerError):
    """Nothing on this machine can provide a server; the message holds the commands to run."""


class ServerNotOursError(ServerError):
    """A fault was asked for on a server that this tool did not start; it is left alone."""
