"""Shows a storage account's credential with each request: signed, as an address, or as a token.

Formats: Azure's REST reference, "Authorize with Shared Key", with Shared Key Lite for tables.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncHTTPPolicy,
    AzureSasCredentialPolicy,
    SansIOHTTPPolicy,
)
from azure.core.rest import AsyncHttpResponse, HttpRequest
from typing_extensions import override

Credential = AzureNamedKeyCredential | AzureSasCredential | AsyncTokenCredential
Policy = SansIOHTTPPolicy[Any, Any] | AsyncHTTPPolicy[Any, Any]
SignedText = Callable[[HttpRequest, str], str]

_DATE = "x-ms-date"
_SCOPE = "https://storage.azure.com/.default"
_SIGNED = (
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-MD5",
    "Content-Type",
    "Date",
    "If-Modified-Since",
    "If-Match",
    "If-None-Match",
    "If-Unmodified-Since",
    "Range",
)


def table_policy(credential: Credential) -> Policy:
    """Return what shows a credential with each request to a table."""
    return _policy(credential, "SharedKeyLite", _table_text)


def blob_policy(credential: Credential) -> Policy:
    """Return what shows a credential with each request to a blob."""
    return _policy(credential, "SharedKey", _blob_text)


def _policy(credential: Credential, scheme: str, text_of: SignedText) -> Policy:
    if isinstance(credential, AzureNamedKeyCredential):
        return _Signature(credential, scheme, text_of)
    if isinstance(credential, AzureSasCredential):
        return AzureSasCredentialPolicy(credential)
    return AsyncBearerTokenCredentialPolicy(credential, _SCOPE)


class _Signature(SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Signs each try of a request anew, since the time is part of what is signed."""

    def __init__(
        self, credential: AzureNamedKeyCredential, scheme: str, text_of: SignedText
    ) -> None:
        self._credential = credential
        self._scheme = scheme
        self._text_of = text_of

    @override
    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        account, key = self._credential.named_key
        sent = request.http_request
        sent.headers[_DATE] = formatdate(time.time(), usegmt=True)
        text = self._text_of(sent, account).encode()
        signature = base64.b64encode(hmac.digest(base64.b64decode(key), text, "sha256")).decode()
        sent.headers["Authorization"] = f"{self._scheme} {account}:{signature}"


def _table_text(request: HttpRequest, account: str) -> str:
    """Return time and path."""
    return f"{request.headers[_DATE]}\n/{account}{urlsplit(request.url).path}"


def _blob_text(request: HttpRequest, account: str) -> str:
    """Return method, headers, path and query; a length of zero stands as nothing."""
    headers, address = request.headers, urlsplit(request.url)
    standard = ("" if (header := headers.get(name, "")) == "0" else header for name in _SIGNED)
    own = sorted(
        f"{name.lower()}:{value}"
        for name, value in headers.items()
        if name.lower().startswith("x-ms-")
    )
    query = sorted(f"{name}:{value}" for name, value in parse_qsl(address.query))
    return "\n".join((request.method, *standard, *own, f"/{account}{address.path}", *query))
