"""Texts behind the name of a credential that are plainly none: a state, a type, a file's name.

They stand in errors and code, as ``session: timed out`` and ``secret: str``. Each word has to be
in a list here: one that is not makes the whole text a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 120
_LONGEST_FILE = 1000
_STATE = (
    r"(?:expired|missing|invalid|required|rejected|refused|revoked|denied|incorrect|absent|unset|"
    r"malformed|mismatch(?:ed)?|timeout|timed[ ]out|closed|aborted|not[ ](?:found|set|valid|given|"
    r"provided|allowed|accepted|present|known|yet[ ]valid)|too[ ](?:long|short|old|large)|"
    r"already[ ]used|does[ ]not[ ]match|no[ ]such[ ](?:file[ ]or[ ]directory|host|file|key)|"
    r"(?:permission|access)[ ]denied|is[ ]a[ ]directory|connection[ ](?:refused|reset)|"
    r"unauthorized|forbidden)"
)
_BEFORE = r"(?:is|was|has|been|are|were|it|the)"
_JOINS = r"(?:[,;]?[ ](?:or|and)[ ]|[,;/][ ]?)"
_BEHIND = (
    r"(?:[ ]by[ ](?:the[ ])?(?:server|client|peer|user)|[ ]after[ ][0-9]{1,4}[ ]?"
    r"(?:s|ms|min|h|seconds?|minutes?|hours?|days?)|[ ]again|[ ]already)"
)
_SENTENCE = re.compile(
    rf"(?:{_BEFORE}[ ]){{0,3}}{_STATE}(?:{_JOINS}{_STATE}){{0,3}}{_BEHIND}?[.!?;,)]{{0,2}}",
    re.IGNORECASE,
)
_TYPE = (
    r"(?:(?:typing\.)?(?:str|int|float|bool|bytes|bytearray|None|Any|object|string|String|number|"
    r"boolean|Optional|Union|List|list|Dict|dict|Tuple|tuple|Sequence|Mapping|Iterable)|"
    r"(?:pydantic\.)?Secret(?:Str|Bytes)|null|undefined)"
)
_ANNOTATION = re.compile(
    rf"[&?]?{_TYPE}(?:[\[\], |]{{1,3}}{_TYPE}){{0,8}}\]{{0,4}}\??"
    r"""(?:[ ]?=[ ]?(?:None|null|undefined|\.\.\.|""|''))?[,;:)]{0,2}"""
)
_ANSWER = re.compile(
    r"[1-5][0-9]{2}(?:[ ][A-Z][A-Za-z]{1,15}(?:[ ][A-Za-z]{1,15}){0,3})?"
    r"(?:[ ]in[ ][0-9.]{1,9}[ ]?m?s)?"
)
_FILE = re.compile(r"(?:[\w() .-]{1,100}/){0,20}[\w() .-]{1,100}\.[A-Za-z][A-Za-z0-9]{0,4}")
_OBJECT_MEMBERS = frozenset({
    "Bucket", "Key", "Size", "ETag", "LastModified", "StorageClass", "VersionId", "Owner",
    "ContentLength", "ContentType", "IsLatest", "DeleteMarker", "UploadId", "Prefix", "Range",
    "Metadata",
})  # fmt: skip


def is_plain_word(text: str) -> bool:
    """Whether a text without quotes says a state or names a type."""
    text = text.strip()
    if len(text) > _LONGEST:
        return False
    return _SENTENCE.fullmatch(text) is not None or _ANNOTATION.fullmatch(text) is not None


def is_answer(text: str) -> bool:
    """Whether a text behind a path says what was answered, as ``404 Not Found``, or a place."""
    return text.startswith("/") or (len(text) <= _LONGEST and _ANSWER.fullmatch(text) is not None)


def is_object_key(text: object, members: Iterable[str] = ()) -> bool:
    """Whether a text under ``Key`` is the name of an object in a store, as in answers of S3.

    Args:
        members: names of the members that stand beside it. Without any of a store's, the text must
            look like the name of a file.
    """
    if not isinstance(text, str):
        return False
    beside = {name for name in members if name != "Key"}
    if beside:
        return beside <= _OBJECT_MEMBERS
    return len(text) <= _LONGEST_FILE and _FILE.fullmatch(text) is not None
