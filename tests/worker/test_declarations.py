"""What a declaration says is checked at the start, with the place, the reason and the remedy."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from jobfleet_worker import BlockingJobContext, JobContext, handler
from jobfleet_worker.handlers.declaration import DeclarationError
from jobfleet_worker.handlers.registry import HandlerImportError, Handlers
from jobfleet_worker.testing import run_handler

Load = Callable[[str], Handlers]
_numbers = itertools.count(1)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load handlers from the text of a module, as a worker's start does."""
    monkeypatch.syspath_prepend(tmp_path)

    def loaded(source: str) -> Handlers:
        name = f"declared_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        return Handlers.load([name])

    return loaded


def plain(payload: Any = None) -> Any:
    return payload


WRONG_OPTIONS: dict[str, list[Any]] = {
    "job_type": ["", "has space", "x" * 101, "line\n", "slash/ed", 5, None, b"bytes"],
    "run_in": ["loop", "threads", "", 1, True],
    "max_attempts": [0, -1, 101, 1000, 2.5, "3", True, float("nan")],
    "timeout": [0, -5, float("nan"), float("inf"), 31 * 86_400, "60", True],
    "aliases": ["old", 5, None, {"old"}, [5], [""], ["has space"], ["x", "x"], ["some.type"], [[]]],
    "rate": ["", "10", "0/second", "10/week", "fast", 10, 10.0, True, b"10/second", ["10/second"]],
    "rate_key": [str],
    "lock_key": ["", "x" * 201, "two\nlines", 5, lambda: "x", divmod, True],
    "lock_slots": [0, -1, 101, 2.0, "3", True, None, 2],
    "limits": ["api", 5, None, {"api"}, ["has space"], [""], ["a", "a"], list("abcd"), [5]],
    "on_lost": ["", "redo", 0, True, ["fail"]],
    "max_takeovers": [-1, 101, 2.5, "3", True],
    "retry_delay": [-1, float("nan"), float("inf"), 86_401, "2", True],
    "queue": ["", "Has-Capitals", "x" * 51, "a.b", "line\n", 5, True, ["a"]],
    "index": [
        "customer",
        7,
        None,
        [""],
        ["a b"],
        ["a.b"],
        [5],
        ["x", "x"],
        [f"k{n}" for n in range(9)],
    ],
    "retry_on": [OSError, [OSError], "OSError", (OSError, "x"), (OSError(),), (int,), None, 5],
}


@pytest.mark.parametrize(
    ("option", "value"),
    [(option, value) for option, values in WRONG_OPTIONS.items() for value in values],
)
def test_a_wrong_option_is_refused_where_it_is_declared(option: str, value: Any) -> None:
    options = {"job_type": "some.type", option: value}
    with pytest.raises(DeclarationError) as refused:
        handler(options.pop("job_type"), **options)(plain)
    message = str(refused.value)
    assert message.startswith(f"{__name__}.plain (line ")
    assert "type" in message if option == "job_type" else option in message


def test_every_option_of_a_declaration_has_wrong_values_here() -> None:
    assert set(inspect.signature(handler).parameters) == set(WRONG_OPTIONS)


@pytest.mark.parametrize("key_of", ["customer", 5, lambda: "x", divmod])
def test_a_rate_key_must_take_the_payload(key_of: Any) -> None:
    with pytest.raises(DeclarationError, match=r"rate_key is .* function of the payload"):
        handler("some.type", rate="10/second", rate_key=key_of)(plain)


def test_right_options_are_kept() -> None:
    function = handler("a.B-c_9", max_attempts=100, timeout=0.5, retry_on=())(lambda: None)
    found = Handlers.of(function).get("a.B-c_9")
    assert found is not None
    assert (found.max_attempts, found.timeout, found.retry_on) == (100, 0.5, ())


def test_an_alias_that_another_function_handles_is_refused(load: Load) -> None:
    source = """
from jobfleet_worker import handler

@handler("new", aliases=["old"])
def one(): ...

@handler("old")
def other(): ...
"""
    with pytest.raises(HandlerImportError, match="type 'old' has two handlers"):
        load(source)


def test_handler_without_a_call_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r'Write @handler\("some.type"\)'):
        handler(plain)  # type: ignore[arg-type]


class Caller:
    def __call__(self, payload: Any) -> Any:
        return payload

    def method(self, payload: Any) -> Any:
        return payload

    @classmethod
    def of_class(cls, payload: Any) -> Any:
        return payload


def function() -> Callable[..., Any]:
    def of_payload(payload: Any) -> Any:
        return payload

    return of_payload


def coroutine() -> Callable[..., Any]:
    async def of_payload(payload: Any) -> Any:
        return payload

    return of_payload


def generator(payload: Any) -> Iterator[Any]:
    yield payload


async def async_generator(payload: Any) -> AsyncIterator[Any]:
    yield payload


RUN: dict[str, Callable[..., Any]] = {
    "function": function,
    "coroutine function": coroutine,
    "lambda": lambda: lambda payload: payload,
    "decorated": lambda: functools.lru_cache(plain),
    "coroutine function in a plain one": lambda: _passing_on(coroutine()),
}
REFUSED: dict[str, Callable[..., Any]] = {
    "generator": lambda: generator,
    "async generator": lambda: async_generator,
    "partial": lambda: functools.partial(plain, payload=1),
    "callable object": Caller,
    "bound method": lambda: Caller().method,
    "class method": lambda: Caller.of_class,
    "class": lambda: Caller,
    "builtin": lambda: len,
    "number": lambda: 5,
    "classmethod object": lambda: classmethod(plain),
}


def _passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@pytest.mark.parametrize("kind", RUN)
async def test_each_kind_of_function_runs(kind: str) -> None:
    run = await run_handler(handler("job")(RUN[kind]()), "it")
    assert run.result == "it"


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_plain_or_coroutine_function_is_refused(kind: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        Handlers.of(handler("job")(REFUSED[kind]()))
    assert "@handler('job'):" in str(refused.value)


SIGNATURES = {
    "two values": "def f(name: str, age: int): ...",
    "two without annotations": "def f(payload, context): ...",
    "context without annotation": "def f(context): ...",
    "three": "def f(payload: str, context: BlockingJobContext, more: int): ...",
    "three, one with a default": "def f(payload: str, context: BlockingJobContext, more=1): ...",
    "swapped": "def f(context: BlockingJobContext, payload: str): ...",
    "keyword-only": "def f(*, payload: str): ...",
    "keyword-only context": "def f(payload: str, *, context: BlockingJobContext): ...",
    "any keywords": "def f(**payload: str): ...",
    "payload and keywords": "def f(payload: str, **more: str): ...",
    "any values": "def f(*payload: str): ...",
    "two contexts": "def f(one: JobContext, two: JobContext): ...",
    "blocking context in a coroutine": "async def f(payload: str, c: BlockingJobContext): ...",
}


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("kind", SIGNATURES)
def test_a_signature_that_no_job_can_be_called_with_is_refused(
    load: Load, kind: str, future: str
) -> None:
    with pytest.raises(HandlerImportError) as refused:
        load(
            f"{future}from jobfleet_worker import BlockingJobContext, JobContext, handler\n"
            f"@handler('job')\n{SIGNATURES[kind]}\n"
        )
    message = str(refused.value)
    assert "\n" not in message
    assert ".f (line " in message
    assert "def name(payload: Model, context: " in message


def test_a_default_that_nobody_would_read_is_refused(load: Load) -> None:
    with pytest.raises(HandlerImportError, match="the default of parameter 'payload' is a Field"):
        load(
            "from pydantic import Field\nfrom jobfleet_worker import handler\n"
            "@handler('job')\ndef f(payload: int = Field(5, le=10)): ...\n"
        )


TAKEN = {
    "nothing": ("async def f(): return 7", 7),
    "plain payload": ("async def f(payload): return payload", 7),
    "context only": ("async def f(context: JobContext): return context.attempt", 1),
    "any name": ("def f(order: int, job: BlockingJobContext): return order", 7),
    "union of contexts": ("def f(p: int, c: JobContext | BlockingJobContext): return p", 7),
    "annotated context": ("def f(p: int, c: Annotated[BlockingJobContext, 1]): return p", 7),
    "context that may be missing": ("def f(p: int, c: JobContext | None = None): return p", 7),
    "positional-only": ("def f(payload: int, /): return payload", 7),
}


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("kind", TAKEN)
async def test_a_signature_with_payload_and_context_is_taken(
    load: Load, kind: str, future: str
) -> None:
    source, expected = TAKEN[kind]
    found = load(
        f"{future}from typing import Annotated\n"
        "from jobfleet_worker import BlockingJobContext, JobContext, handler\n"
        f"@handler('job')\n{source}\n"
    ).get("job")
    assert found is not None
    assert (await run_handler(found.function, 7)).result == expected


async def test_a_context_that_is_imported_for_type_checkers_only_is_known(load: Load) -> None:
    found = load(
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\nfrom jobfleet_worker import handler\n"
        "if TYPE_CHECKING:\n    from jobfleet_worker import JobContext\n"
        "@handler('job')\nasync def f(payload: Order, context: JobContext) -> None: ...\n"
        "from pydantic import BaseModel\nclass Order(BaseModel):\n    number: int\n"
    ).get("job")
    assert found is not None
    run = await run_handler(found.function, {"number": "x"})
    assert run.error is not None
    assert "payload.number" in run.error.message


HIDDEN = {
    "a decorator above hides it": (
        "def bare(f): return lambda *args: f(*args)\n@bare\n@handler('job')\ndef f(p): ...\n"
    ),
    "a second function of the name": (
        "@handler('job')\ndef f(p): ...\n@handler('other')\ndef f(p): ...\n"
    ),
    "a loop": "for name in 'ab':\n    @handler(name)\n    def f(p): ...\n",
    "a method": "class Jobs:\n    @handler('job')\n    def f(self, p): ...\n",
    "a local function": "def make():\n    @handler('job')\n    def f(p): ...\nmake()\n",
    "a local function in a process": (
        "def make():\n    @handler('job', run_in='process')\n    def f(p): ...\nmake()\n"
    ),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_mark_without_effect_is_refused(load: Load, kind: str) -> None:
    with pytest.raises(HandlerImportError, match="has no effect") as refused:
        load(f"from jobfleet_worker import handler\n{HIDDEN[kind]}")
    assert "\n" not in str(refused.value)


BROKEN_MODULES = {
    "no handler": ("x = 1\n", "has no handler"),
    "sys.exit(0)": ("import sys\nsys.exit(0)\n", "called sys.exit(0)"),
    "sys.exit with text": ("import sys\nsys.exit('bye')\n", "called sys.exit('bye')"),
    "its own module is missing": ("import no_such_module_at_all\n", "no_such_module_at_all"),
    "syntax": ("def f(:\n", "SyntaxError"),
    "an exception of no standard kind": (
        "class Out(BaseException): ...\nraise Out('of here')\n",
        "of here",
    ),
}


@pytest.mark.parametrize("kind", BROKEN_MODULES)
def test_a_module_that_cannot_be_used_is_named_with_the_cause(load: Load, kind: str) -> None:
    source, cause = BROKEN_MODULES[kind]
    with pytest.raises(HandlerImportError, match=r"handler module 'declared_\d+'") as refused:
        load(source)
    assert cause in str(refused.value)


def test_a_module_that_does_not_exist_is_told_in_one_line() -> None:
    with pytest.raises(HandlerImportError, match=r"'no_such\.module' is not found") as refused:
        Handlers.load(["no_such.module"])
    assert "\n" not in str(refused.value)


def test_values_of_a_module_that_answer_to_any_name_are_no_handlers(load: Load) -> None:
    found = load(
        "from unittest.mock import MagicMock\nfrom jobfleet_worker import handler\n"
        "mock = MagicMock()\n"
        "class Proxy:\n    def __getattr__(self, name): raise RuntimeError('no request')\n"
        "proxy = Proxy()\n@handler('job')\ndef f(): ...\n"
    )
    assert "job" in found.types


def test_a_module_that_answers_to_no_other_name_is_used_as_it_is(load: Load) -> None:
    found = load(
        "from jobfleet_worker import handler\n"
        "def __getattr__(name): raise RuntimeError(name)\n"
        "@handler('job')\ndef f(): ...\n"
    )
    assert "job" in found.types


async def test_two_marks_make_one_function_the_handler_of_two_types(load: Load) -> None:
    found = load(
        "from jobfleet_worker import handler\n"
        "@handler('one', max_attempts=1)\n@handler('two', max_attempts=2)\n"
        "def f(payload: int): return payload\n"
    )
    one, two = found.get("one"), found.get("two")
    assert one is not None
    assert two is not None
    assert (one.max_attempts, two.max_attempts) == (1, 2)
    assert one.function is two.function


async def test_a_decorator_takes_part_above_and_below_the_mark(load: Load) -> None:
    source = (
        "import functools\nfrom jobfleet_worker import handler\n"
        "def doubled(f):\n"
        "    @functools.wraps(f)\n"
        "    def wrapper(*args): return 2 * f(*args)\n"
        "    return wrapper\n"
    )
    found = load(
        f"{source}@doubled\n@handler('above')\ndef f(payload: int): return payload\n"
        "@handler('below')\n@doubled\ndef g(payload: int): return payload\n"
    )
    for job_type in ("above", "below"):
        each = found.get(job_type)
        assert each is not None
        assert each.signature.payload_type is not None
        assert (await run_handler(each.function, 4)).result == 8


async def test_constraints_of_an_annotation_count() -> None:
    def small(payload: Annotated[int, Field(ge=1, le=10)]) -> int:
        return payload

    assert (await run_handler(small, 10)).result == 10
    run = await run_handler(small, 11)
    assert run.error is not None
    assert "less than or equal to 10" in run.error.message


async def test_the_default_of_the_payload_stands_for_null() -> None:
    def greet(payload: str = "world") -> str:
        return payload

    async def any_(payload: Any = None, context: JobContext | None = None) -> Any:
        return payload

    assert (await run_handler(greet)).result == "world"
    assert (await run_handler(greet, "Ada")).result == "Ada"
    assert (await run_handler(any_)).result is None


def test_a_process_handler_that_a_process_cannot_import_is_refused() -> None:
    @handler("job", run_in="process")
    def local(payload: int, context: BlockingJobContext) -> int:
        return payload

    with pytest.raises(DeclarationError, match="top level of a module"):
        Handlers.of(local)
