"""What the client libraries raise, in the words of jobfleet's errors."""

from __future__ import annotations

import re

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from jobfleet_contracts.errors import BackendError, BackendForbidden, BackendUnavailable

_CODE = re.compile(r'"code":\s*"(\w+)"|<Code>(\w+)</Code>')
_CREDENTIAL_CODES = frozenset(
    {
        "AuthenticationFailed",
        "AuthorizationFailure",
        "InvalidAuthenticationInfo",
        "NoAuthenticationInformation",
        "Unauthorized",
    }
)
_BUSY = frozenset({408, 429})
_CONFLICTS = frozenset({409, 412})
_MISSING = 404
_SERVER_FAULT, _SERVER_BUSY = 500, 503
_PASSING_CODES = frozenset({"TableBeingDeleted", "ContainerBeingDeleted"})


class StorageRefused(BackendError):
    """The storage answered and did nothing, as far as it says: 404, 409, 412 or another 4xx.

    The answer may be to a repetition of one's own request. Adapters turn it into the error of
    their port; elsewhere it means that a request was wrong.
    """

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def is_conflict(self) -> bool:
        """Whether something stands in the way: 409 or 412."""
        return self.status in _CONFLICTS

    @property
    def is_missing(self) -> bool:
        """Whether what was named is not there."""
        return self.status == _MISSING


class StorageFault(BackendUnavailable):
    """The storage answered with a fault of its own: 5xx, but not that it is busy.

    It may have been done. What the storage cannot digest is answered so too, each time.
    """


def translate(error: BaseException, *, operation: str, address: str, role: str) -> BackendError:
    """Return what to raise instead of a library's error; holds no secret.

    Args:
        operation: ``trail.insert`` and so on.
        address: the service's address.
        role: what an identity needs for it.
    """
    if isinstance(error, TimeoutError):
        return BackendUnavailable(f"{operation}: no answer in time from {address}")
    if isinstance(error, HttpResponseError) and error.response is not None:
        return _of_answer(error, operation, address, role)
    if isinstance(error, ClientAuthenticationError):
        reason = str(error.message).splitlines()[0][:300]
        return BackendForbidden(f"{operation}: no identity to show to {address}: {reason}")
    # ServiceRequestError included: with aiohttp it does not mean that nothing was sent.
    reason = str(error)[:200]
    detail = type(error).__name__ if not reason or "sig=" in reason else reason
    return BackendUnavailable(f"{operation}: cannot reach {address}: {detail}")


def result_of(error: BackendError) -> str:
    """Return the result under which a failed request is counted."""
    match error:
        case StorageRefused() if error.is_conflict:
            return "conflict"
        case StorageRefused() if error.is_missing:
            return "missing"
        case BackendForbidden():
            return "forbidden"
        case BackendUnavailable():
            return "unavailable"
        case _:
            return "refused"


def _of_answer(error: HttpResponseError, operation: str, address: str, role: str) -> BackendError:
    status, code = error.status_code or 0, _code_of(error)
    answer = f"{status} {code}".strip()
    if status in (401, 403):
        if status == 401 or code in _CREDENTIAL_CODES:  # noqa: PLR2004
            return BackendForbidden(
                f"{operation}: {address} refuses the credentials ({answer}); check key, SAS "
                "or identity, the account's network rules and the machine's clock"
            )
        return BackendForbidden(
            f"{operation}: not allowed at {address} ({answer}); needs the role {role!r}"
        )
    if status >= _SERVER_FAULT and status != _SERVER_BUSY:
        return StorageFault(f"{operation}: {address} answered {answer}")
    if status == _SERVER_BUSY or status in _BUSY or status < 400 or code in _PASSING_CODES:  # noqa: PLR2004
        return BackendUnavailable(f"{operation}: {address} answered {answer}")
    return StorageRefused(f"{operation}: {address} refused with {answer}", status=status, code=code)


def _code_of(error: HttpResponseError) -> str:
    known = getattr(error, "error_code", None)
    if known:
        return str(getattr(known, "value", known))
    header = getattr(error.response, "headers", {}).get("x-ms-error-code")
    if header:
        return str(header)
    found = _CODE.search(str(error.message))
    return (found.group(1) or found.group(2)) if found else ""
