"""What a handler's signature says: what it is called with, and what its payload must be."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    Never,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from jobfleet_contracts.codec import encode
from jobfleet_worker.handlers.context import BlockingJobContext, ContextFacts, JobContext
from jobfleet_worker.handlers.verdicts import Fail

Takes = Literal["payload", "context"]
NO_DEFAULT: Any = inspect.Parameter.empty
_UNSAID = inspect.Parameter.empty
_NO_JSON = (Callable, typing.Callable, type, typing.Type, NoReturn, Never)  # noqa: UP006
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_CONTEXTS: Mapping[str, Any] = {
    "JobContext": JobContext,
    "BlockingJobContext": BlockingJobContext,
}


NOTHING_PROVIDED: Mapping[Any, Any] = types.MappingProxyType({})


class SignatureRefused(Exception):
    """A handler cannot be called, or its payload not be checked, as its signature says."""


_CODE_IN_SCHEMA = ("'function-", "'post_init': True", "'post_init': '", "'custom_init': True")
"""Marks in pydantic's core schema of what calls Python code."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function is called with.

    Attributes:
        takes: ``payload`` and ``context``, in the order of the parameters.
        payload_type: checks the payload; ``None`` takes plain JSON as it is.
        default: what stands for a payload of ``null``; ``NO_DEFAULT`` if there is none.
        names: the parameters of ``takes``.
        provided: the type of each parameter that a ``@provide`` fills, by name.
    """

    takes: tuple[Takes, ...] = ("payload", "context")
    payload_type: TypeAdapter[Any] | None = None
    default: Any = NO_DEFAULT
    names: tuple[str, ...] = ()
    provided: Mapping[str, Any] = field(default_factory=dict)

    def named(self, given: Mapping[Takes, Any]) -> dict[str, Any]:
        """Return payload and context by the names of their parameters."""
        return {name: given[what] for name, what in zip(self.names, self.takes, strict=True)}

    @property
    def runs_code(self) -> bool:
        """Whether reading a payload may run code of the user's: validators, own constructors."""
        return self.payload_type is not None and _runs_code(self.payload_type)

    def read_payload(self, payload: Any) -> Any:
        """Return the payload, decoded JSON, as its annotation wants it.

        Raises:
            Fail: it does not fit; another attempt would not help.
        """
        if payload is None and self.default is not NO_DEFAULT:
            return self.default
        if self.payload_type is None:
            return payload
        try:
            # Strict models read times and ids from text in this mode only.
            return self.payload_type.validate_json(encode(payload))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, ("payload", *problem["loc"])))
            message = problem["msg"].removeprefix("Value error, ")
            raise Fail(f"{where} is refused: {message}") from None


@cache
def _runs_code(payload_type: TypeAdapter[Any]) -> bool:
    schema = str(payload_type.core_schema)
    return any(mark in schema for mark in _CODE_IN_SCHEMA)


def read_signature(
    function: Callable[..., Any],
    *,
    is_async: bool,
    waits: bool = False,
    provided: Mapping[Any, Any] = NOTHING_PROVIDED,
) -> Signature:
    """Return what a function is called with.

    Annotations are resolved here, one by one: a name that cannot be resolved must not turn the
    check of the payload off.

    Args:
        waits: a built-in, whose last parameter is its ``CallbackWait``.
        provided: types that its parameters may ask for.

    Raises:
        SignatureRefused: with the reason and the remedy.
    """
    wanted = "async def name(payload: Model, context: JobContext)"
    if not is_async:
        wanted = "def name(payload: Model, context: BlockingJobContext)"
    try:
        parameters = _parameters(function)
        reader = _Reader(function, is_async, provided)
        signature = reader.read(parameters[:-1] if waits else parameters)
        reader.check_return(_inspected(function).return_annotation)
    except _Shape as shape:
        raise SignatureRefused(
            f"{shape}. Declare it as `{wanted}`; either parameter may be left out"
        ) from None
    return signature


def first_parameter_signature(function: Callable[..., Any]) -> Signature:
    """Return how a function's payload is read, without knowing what its worker provides.

    The payload is the first parameter that can be given by position, unless that is a context. One
    that cannot be checked here is checked by the worker.
    """
    is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
    reader = _Reader(function, is_async, NOTHING_PROVIDED)
    try:
        first = next(iter(_parameters(function)), None)
        if first is None or first.kind not in _POSITIONAL:
            return Signature(takes=())
        return reader.read([first])
    except (SignatureRefused, _Shape):
        return Signature(takes=())


class _Shape(Exception):
    """The parameters are not those that a handler is called with."""


class _Reader:
    def __init__(
        self, function: Callable[..., Any], is_async: bool, provided: Mapping[Any, Any]
    ) -> None:
        self._function = function
        self._is_async = is_async
        self._provided = provided

    def read(self, parameters: list[inspect.Parameter]) -> Signature:
        asked = {each.name: made for each in parameters if (made := self._asked(each)) is not None}
        others = [each for each in parameters if each.name not in asked]
        signature = self._read(others)
        return replace(signature, names=tuple(each.name for each in others), provided=asked)

    def _asked(self, parameter: inspect.Parameter) -> Any:
        """Return the provided type that a parameter asks for; ``None``: there is none."""
        if not self._provided or parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            return None
        annotation = self._annotation(parameter)
        try:
            return annotation if annotation in self._provided else None
        except TypeError:  # an annotation that has no hash
            return None

    def _read(self, parameters: list[inspect.Parameter]) -> Signature:
        for each in parameters:
            if each.kind not in _POSITIONAL:
                raise _Shape(f"parameter {str(each)!r} is {each.kind.description}{_hint(each)}")
        match parameters:
            case []:
                return Signature(takes=())
            case [only]:
                annotation = self._annotation(only)
                if _is_context(annotation):
                    self._check_context(annotation)
                    return Signature(takes=("context",))
                if annotation is _UNSAID and only.name in ("context", "ctx"):
                    raise _Shape(f"parameter {only.name!r} has no annotation that says context")
                return self._signature(only, annotation, ("payload",))
            case [first, second]:
                return self._of_both(first, second)
        raise _Shape(f"it takes {len(parameters)} parameters")

    def _of_both(self, first: inspect.Parameter, second: inspect.Parameter) -> Signature:
        payload, context = self._annotation(first), self._annotation(second)
        if first.name in ("self", "cls") and payload is _UNSAID:
            raise _Shape(f"its first parameter is {first.name!r}: a method has no object here")
        if _is_context(payload):
            raise _Shape("the payload comes first, then the context")
        if not _is_context(context):
            raise _Shape(
                f"parameter {second.name!r} is not annotated as a context, and no @provide of the "
                f"worker's modules makes {_written(context)}"
            )
        self._check_context(context)
        return self._signature(first, payload, ("payload", "context"))

    def _check_context(self, annotation: Any) -> None:
        if self._is_async and annotation is BlockingJobContext:
            raise _Shape("a coroutine function gets a JobContext, not a BlockingJobContext")

    def _signature(
        self, parameter: inspect.Parameter, annotation: Any, takes: tuple[Takes, ...]
    ) -> Signature:
        if isinstance(parameter.default, FieldInfo):
            raise SignatureRefused(
                f"the default of parameter {parameter.name!r} is a Field, which is not read here. "
                "Write `Annotated[type, Field(…)] = default`"
            )
        return Signature(
            takes=takes,
            payload_type=_adapter(parameter, annotation),
            default=parameter.default,
        )

    def _annotation(self, parameter: inspect.Parameter) -> Any:
        """Return the type that an annotation means.

        Our own two contexts are known by name: linters move their import under TYPE_CHECKING.
        """
        return self._resolved(parameter.annotation, f"of parameter {parameter.name!r}")

    def check_return(self, returned: Any) -> None:
        """Refuse a return type that is not known: results would come back as plain JSON."""
        self._resolved(returned, "of what it returns")

    def _resolved(self, raw: Any, place: str) -> Any:
        if raw is _UNSAID:
            return raw
        names = {**_CONTEXTS, **getattr(inspect.unwrap(self._function), "__globals__", {})}

        def holder() -> None: ...

        holder.__annotations__ = {"it": raw}
        try:
            return get_type_hints(holder, globalns=names, include_extras=True)["it"]
        except Exception as error:  # an annotation may be any expression
            raise SignatureRefused(
                f"the annotation {_written(raw)!r} {place} cannot be resolved: {error}. "
                "Define it at the top level of the module, or import it at run time, outside "
                "of `if TYPE_CHECKING:`"
            ) from error


def _hint(parameter: inspect.Parameter) -> str:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        return " (a decorator that uses functools.wraps shows its function's parameters)"
    return ""


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(_inspected(function).parameters.values())


def _inspected(function: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def _is_context(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_context(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        members = [each for each in get_args(annotation) if each is not type(None)]
        return all(map(_is_context, members))
    return inspect.isclass(annotation) and issubclass(annotation, ContextFacts)


def _adapter(parameter: inspect.Parameter, annotation: Any) -> TypeAdapter[Any] | None:
    if annotation in (_UNSAID, Any):
        return None
    if (misfit := _never_fits(annotation)) is not None:
        raise _refused_payload(parameter, annotation, misfit)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        if not adapter.pydantic_complete:
            adapter.rebuild(raise_errors=True)
    except Exception as error:
        misfit = str(error).partition("\n")[0].rstrip(".")
        raise _refused_payload(parameter, annotation, misfit) from error
    if "'type': 'generator'" in str(adapter.core_schema):
        misfit = "an Iterable is checked only while the handler reads it; write list or Sequence"
        raise _refused_payload(parameter, annotation, misfit)
    return adapter


def _refused_payload(
    parameter: inspect.Parameter, annotation: Any, problem: str
) -> SignatureRefused:
    return SignatureRefused(
        f"a payload cannot be checked against the annotation {_written(annotation)!r} of "
        f"parameter {parameter.name!r}, since {problem}. Use a pydantic model, a dataclass, a "
        "TypedDict or plain JSON types, whose own annotations can be resolved"
    )


def _never_fits(annotation: Any) -> str | None:
    """Return why no payload, or every one, fits an annotation that pydantic takes."""
    if isinstance(annotation, TypeVar):
        says_nothing = annotation.__bound__ is None and not annotation.__constraints__
        return f"the type variable {annotation} stands for any type" if says_nothing else None
    for kind in (annotation, get_origin(annotation)):
        if any(kind is each for each in _NO_JSON):
            return f"no JSON value is a {_written(annotation)}"
    if get_origin(annotation) is Literal:
        return None
    return next((misfit for each in get_args(annotation) if (misfit := _never_fits(each))), None)


def _written(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    name = getattr(annotation, "__forward_arg__", None) or getattr(annotation, "__qualname__", None)
    return name or str(annotation)
