"""The one place where values of jobs are encoded and decoded: by the user's codec, or not at all.

What leaves a process with a codec is encoded here first: a request at its submit, and what a
handler returns, raises, reports, keeps and logs. What is shown or handed to a handler is decoded
here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.encoded_value import (
    IN_TEXT,
    KEY_ID,
    MARK,
    digest_in,
    holds_encoded,
    is_encoded,
    key_in,
    labelled_text,
    labelled_value,
)
from jobfleet_contracts.errors import CodecError, InvalidRequest, KeyUnavailable
from jobfleet_contracts.event import MAX_MESSAGE_CHARACTERS, Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.lookup_keys import PAYLOAD, keys_of

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest
    from jobfleet_contracts.payload_codec import PayloadCodec

HIDDEN_FIELDS = (
    "payload",
    "processingParameters",
    "inputFilePath",
    "description",
    "context",
)
"""Values of a request that are encoded, by wire name; all others stay readable."""
CLEAR_CONTEXT = ("traceparent", "tracestate", "requestId", "scheduleName", "scheduledFor")
"""What of the context stays readable: jobfleet itself goes by it."""
NOT_ENCODED = "(could not be encoded)"
_MOST_IN_MESSAGE = MAX_MESSAGE_CHARACTERS - 100
"""Characters of an encoded part of an event's message; jobfleet's own words have the rest."""
_DEPTH = 40
_CLEAR = (None, "")


class ValueCoder:
    """Encodes and decodes by one codec; safe to use in several threads.

    Without a codec nothing is encoded, and nothing can be decoded. What looks like an encoded value
    in a text or in details is then replaced by its label: other processes may have a codec, and
    would decode it. Results and checkpoints cannot hold one: a handler's are refused when they are
    made JSON, a third party's when they are read.
    """

    def __init__(self, codec: PayloadCodec | None = None) -> None:
        self._codec = codec
        self._known_keys: set[str] = set()

    @property
    def encodes(self) -> bool:
        """Whether there is a codec."""
        return self._codec is not None

    def value(self, value: Any) -> Any:
        """Return a JSON value encoded; ``None`` stays.

        Raises:
            CodecError: the codec raised. Nothing of the value may be stored then.
            InvalidRequest: JSON cannot hold the value.
        """
        return value if self._codec is None or value is None else self._encoded(encode(value))

    def text(self, text: str, most: int | None = None) -> str:
        """Return a text encoded; an empty one stays. Never raises: it is told of failures, too.

        Args:
            most: characters that the encoded text may have; its beginning is kept.
        """
        if self._codec is None or not text:
            return labelled_text(text)
        kept = text
        while kept:
            try:
                encoded = encode(self._encoded(encode(kept))).decode()
            except (CodecError, InvalidRequest):
                return NOT_ENCODED
            if most is None or len(encoded) <= most:
                return encoded
            kept = kept[: min(len(kept) // 2, most)]
        return NOT_ENCODED

    def message(self, text: str) -> str:
        """Return a text encoded so that an event's message can hold it."""
        return self.text(text, _MOST_IN_MESSAGE)

    def details(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the details of an event; class and place of its error stay readable.

        Raises:
            CodecError: the codec raised.
        """
        if self._codec is None:
            return {name: labelled_value(value) for name, value in data.items()}
        return {
            name: self._error(value) if name == "error" else self._detail(value)
            for name, value in data.items()
        }

    def _error(self, error: Any) -> Any:
        if not isinstance(error, Mapping):
            return self.value(error)
        return {
            name: self.text(f"{text}") if name in ("message", "traceback") else labelled_value(text)
            for name, text in error.items()
        }

    def _detail(self, value: Any) -> Any:
        return value if isinstance(value, bool) else self.value(value)

    def keys_of(self, clear: JobRequest, declared: Sequence[str]) -> dict[str, str]:
        """Return what a job is looked up by: its payload keys by HMACs, if there is a codec."""
        found = keys_of(clear, declared)
        return {
            name: self.index_value(name, value) if name.startswith(PAYLOAD) else value
            for name, value in found.items()
        }

    def index_value(self, name: str, value: str) -> str:
        """Return what stands for a lookup key's value in the index: a keyed HMAC, in hex."""
        if self._codec is None:
            return value
        return self._hmac(b"index", f"{name}\0{value}".encode())

    def request(self, clear: JobRequest) -> JobRequest:
        """Return a request with its values encoded in the place of its payload.

        One that holds none, or encoded ones, is returned as it is. The digest of the result is the
        same for the same clear request, whatever the key.

        Raises:
            CodecError: the codec raised.
        """
        from jobfleet_contracts.job import JobRequest

        if self._codec is None or digest_in(clear.payload) is not None:
            return clear
        fields = clear.to_json()
        # A reader that counts a group's members reads its payload, with or without a codec.
        encoded = (
            self._with_steps(fields) if clear.type == GROUP_TYPE else self._encoded_fields(fields)
        )
        if encoded == fields:
            return clear
        return JobRequest.model_validate(encoded).encoded_from(clear)

    def _encoded_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Encode the wire form of a request or a successor, and its successors within it."""
        shown = dict(fields)
        hidden = {
            name: shown.pop(name)
            for name in HIDDEN_FIELDS
            if name in fields and fields[name] not in _CLEAR and name != "context"
        }
        context = fields.get("context") or {}
        kept = {name: context[name] for name in CLEAR_CONTEXT if name in context}
        if kept.keys() != context.keys():
            hidden["context"] = {name: context[name] for name in context.keys() - kept.keys()}
            shown["context"] = kept
        shown = self._with_steps(shown)
        if not hidden or digest_in(fields.get("payload")) is not None:
            return shown
        body = self._encoded(encode(hidden))
        return shown | {"payload": {MARK: body[MARK] | {"digest": self._digest(hidden)}}}

    def _with_steps(self, fields: dict[str, Any]) -> dict[str, Any]:
        if not fields.get("then"):
            return fields
        return fields | {"then": [self._encoded_fields(step) for step in fields["then"]]}

    def _digest(self, hidden: dict[str, Any]) -> str:
        """Return the HMAC of what was asked, without what differs with each HTTP request.

        Empty if nothing is left, as for a request that only has such context.
        """
        from jobfleet_contracts.job import VOLATILE_CONTEXT

        context = hidden.get("context", {})
        lasting = {name: context[name] for name in context.keys() - VOLATILE_CONTEXT}
        asked = {name: hidden[name] for name in hidden if name != "context"}
        if lasting:
            asked["context"] = lasting
        if not asked:
            return ""
        return self._hmac(b"request", orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))

    def clear_value(self, value: Any) -> Any:
        """Return a value that :meth:`value` has encoded; any other one stays.

        Raises:
            KeyUnavailable: there is no codec, or it lacks the key.
            CodecError: the codec cannot decode it.
        """
        return decode(self._decoded(value[MARK])) if is_encoded(value) else value

    def clear_text(self, text: str) -> str:
        """Return a text with its encoded parts decoded; raises as :meth:`clear_value`."""
        if not holds_encoded(text):
            return text
        return IN_TEXT.sub(self._part, text)

    def _part(self, found: re.Match[str]) -> str:
        return str(decode(self._decoded({"key": found[1], "data": found[2]})))

    def clear_request(self, request: JobRequest) -> JobRequest:
        """Return a request as it was submitted; its successors stay as they are.

        Raises:
            KeyUnavailable: there is no codec, or it lacks the key.
            CodecError: the codec cannot decode it.
        """
        from jobfleet_contracts.job import JobRequest

        if digest_in(request.payload) is None:
            return request
        return JobRequest.model_validate(self._clear_fields(request.to_json()))

    def _clear_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        hidden = decode(self._decoded(fields["payload"][MARK]))
        if not isinstance(hidden, dict):
            raise CodecError("the values of the request are not what the codec was given")
        clear = {name: fields[name] for name in fields if name != "payload"} | hidden
        if "context" in hidden:
            clear["context"] = (fields.get("context") or {}) | hidden["context"]
        return clear

    def lacks_key_of(self, request: JobRequest) -> str | None:
        """Return the id of the key that a request needs and this process lacks; ``None``: none."""
        if digest_in(request.payload) is None:
            return None
        key = key_in(request.payload)
        if key in self._known_keys:
            return None
        try:
            self.clear_request(request)
        except KeyUnavailable:
            return key
        except (CodecError, InvalidRequest, ValueError):
            return None  # the attempt says so
        return None

    def opened(self, event: Event) -> Event:
        """Return an event with all that can be decoded; the rest stays as it is, for a label.

        Mask it afterwards: what was encoded may hold credentials.
        """
        if self._codec is None or not event.is_readable:
            return event
        message, data = self._opened_text(event.message), self._opened(event.data, _DEPTH)
        if message == event.message and data is event.data:
            return event
        return replace(event, message=message, data=data)

    def _opened_text(self, text: str) -> str:
        try:
            return self.clear_text(text)
        except (CodecError, InvalidRequest):
            return text

    def _opened(self, value: Any, levels: int) -> Any:
        """Decode what can be; what was encoded is not looked into again."""
        match value:
            case str():
                return self._opened_text(value)
            case Mapping() if levels <= 0:
                return value
            case Mapping() if is_encoded(value):
                try:
                    return self.clear_value(value)
                except (CodecError, InvalidRequest):
                    return value
            case Mapping() if digest_in(value.get("payload")) is not None:
                return self._opened_fields(value, levels)
            case Mapping():
                return {name: self._opened(item, levels - 1) for name, item in value.items()}
            case list():
                return [self._opened(item, levels - 1) for item in value]
            case _:
                return value

    def _opened_fields(self, fields: Mapping[str, Any], levels: int) -> dict[str, Any]:
        try:
            clear = self._clear_fields(fields)
        except (CodecError, InvalidRequest):
            clear = dict(fields)
        if fields.get("then"):
            clear["then"] = self._opened(fields["then"], levels - 1)
        return clear

    def _encoded(self, body: bytes) -> dict[str, Any]:
        assert self._codec is not None
        try:
            made: tuple[bytes, Any] = self._codec.encode(body)
            data, key = made
            text = base64.b64encode(data).decode()
        except Exception as error:  # noqa: BLE001 - the user's own
            # Without its cause, which may quote the value.
            raise CodecError(f"the payload codec raised {type(error).__name__}") from None
        if not isinstance(key, str) or not KEY_ID.fullmatch(key):
            raise CodecError("the payload codec returned no key id of 1 to 100 of A-Za-z0-9_.:-")
        return {MARK: {"key": key, "data": text}}

    def _decoded(self, stored: Mapping[str, Any]) -> bytes:
        key = key_in({MARK: stored})
        if self._codec is None:
            raise KeyUnavailable(
                f"the value is encrypted (key {key}), and this process has no codec: set "
                "JOBFLEET_PAYLOAD_CODEC"
            )
        try:
            body = self._codec.decode(base64.b64decode(stored["data"], validate=True), key)
        except binascii.Error:
            raise CodecError(f"a value of key {key} is not base64") from None
        except LookupError:
            raise KeyUnavailable(f"the payload codec has no key {key}") from None
        except Exception as error:  # noqa: BLE001 - the user's own
            raise CodecError(
                f"the payload codec raised {type(error).__name__} for a value of key {key}"
            ) from None
        self._known_keys.add(key)
        return body

    def _hmac(self, purpose: bytes, body: bytes) -> str:
        """Return an HMAC in hex. Digests and index values differ, so that none tells of others."""
        assert self._codec is not None
        derived = hmac.digest(self._codec.digest_key, purpose, "sha256")
        return hmac.new(derived, body, sha256).hexdigest()


NO_CODER = ValueCoder()
"""The coder of a process without a codec."""
