"""The whole stored trail against every rule of the checker."""

from jobfleet_contracts.backend import Backend
from jobfleet_protocol.audit.verification import Verifier


async def assert_verified(backend: Backend) -> None:
    """Fail with each violation found."""
    verifier = Verifier()
    async for history in backend.trail.scan():
        verifier.add(history)
    found = verifier.finish()
    assert not found, "\n".join(map(str, found))
