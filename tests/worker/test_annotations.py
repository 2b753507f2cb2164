"""An annotation that says nothing of a payload, or is not known, is refused at the start."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from jobfleet_worker.handlers.registry import HandlerImportError, Handlers
from jobfleet_worker.testing import run_handler

Load = Callable[[str], Handlers]
_numbers = itertools.count()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load handlers from the text of a module, as a worker's start does."""
    monkeypatch.syspath_prepend(tmp_path)

    def loaded(source: str) -> Handlers:
        name = f"annotated_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        return Handlers.load([name])

    return loaded


UNRESOLVED = {
    "under TYPE_CHECKING": "payload: Decimal",
    "nested": "payload: list[Decimal]",
    "an attribute": "payload: json.NoSuchThing",
    "no expression": "payload: 'what is this'",
    "context module under TYPE_CHECKING": "payload: int, context: fleet.JobContext",
}


@pytest.mark.parametrize("kind", UNRESOLVED)
def test_an_annotation_that_cannot_be_resolved_is_refused_with_its_name(
    load: Load, kind: str
) -> None:
    with pytest.raises(HandlerImportError, match="cannot be resolved") as refused:
        load(
            "from __future__ import annotations\nimport json\n"
            "from typing import TYPE_CHECKING\nfrom jobfleet_worker import handler\n"
            "if TYPE_CHECKING:\n    from decimal import Decimal\n"
            "    import jobfleet_worker as fleet\n"
            f"@handler('job')\nasync def f({UNRESOLVED[kind]}) -> Decimal: ...\n"
        )
    message = str(refused.value)
    assert "\n" not in message
    assert "import it at run time" in message


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("kind", ["async def f(): ...", "def f(): ..."])
def test_a_return_annotation_that_cannot_be_resolved_is_refused_with_its_name(
    load: Load, kind: str, future: str
) -> None:
    function = kind.replace("()", "(payload: int) -> 'list[Receipt]'")
    with pytest.raises(
        HandlerImportError, match="of what it returns cannot be resolved"
    ) as refused:
        load(
            f"{future}from typing import TYPE_CHECKING\nfrom jobfleet_worker import handler\n"
            "if TYPE_CHECKING:\n    from shop import Receipt\n"
            f"@handler('job')\n{function}\n"
        )
    message = str(refused.value)
    assert "list[Receipt]" in message
    assert "import it at run time" in message


ANY_OR_NONE = {
    "T": "stands for any type",
    "list[T]": "stands for any type",
    "dict[str, T] | None": "stands for any type",
    "Annotated[T, 'said']": "stands for any type",
    "Callable": "no JSON value is",
    "typing.Callable": "no JSON value is",
    "Callable[[int], str]": "no JSON value is",
    "typing.Callable[..., None] | None": "no JSON value is",
    "list[Callable]": "no JSON value is",
    "type[int]": "no JSON value is",
    "type": "no JSON value is",
    "typing.Type[int]": "no JSON value is",
    "typing.NoReturn": "no JSON value is",
    "list[typing.Never]": "no JSON value is",
}


@pytest.mark.parametrize("annotation", ANY_OR_NONE)
def test_an_annotation_that_every_payload_or_none_fits_is_refused(
    load: Load, annotation: str
) -> None:
    with pytest.raises(HandlerImportError, match=ANY_OR_NONE[annotation]) as refused:
        load(
            "import typing\nfrom collections.abc import Callable\nfrom typing import Annotated\n"
            "from jobfleet_worker import handler\nT = typing.TypeVar('T')\n"
            f"@handler('job')\ndef f(payload: {annotation}): ...\n"
        )
    message = str(refused.value)
    assert "parameter 'payload'" in message
    assert "Use a pydantic model" in message


@pytest.mark.parametrize("annotation", ["Iterable[int]", "dict[str, Iterable[int]]", "Order"])
def test_an_iterable_is_refused_because_nothing_checks_it_before_the_handler_reads_it(
    load: Load, annotation: str
) -> None:
    with pytest.raises(HandlerImportError, match="write list or Sequence"):
        load(
            "from collections.abc import Iterable\nfrom pydantic import BaseModel\n"
            "from jobfleet_worker import handler\n"
            "class Order(BaseModel):\n    lines: Iterable[int] = ()\n"
            f"@handler('job')\ndef f(payload: {annotation}): ...\n"
        )


async def test_a_type_variable_with_a_bound_checks_the_payload(load: Load) -> None:
    found = load(
        "import typing\nfrom jobfleet_worker import handler\n"
        "T = typing.TypeVar('T', bound=int)\n@handler('job')\ndef f(payload: T): return payload\n"
    ).get("job")
    assert found is not None
    assert (await run_handler(found.function, 7)).result == 7
    run = await run_handler(found.function, "x")
    assert run.error is not None
    assert "payload" in run.error.message


NOT_CHECKABLE = {
    "a class of one's own": "class Order: ...",
    "a field that cannot be resolved": (
        "from dataclasses import dataclass\n@dataclass\nclass Order:\n    total: 'Decimal'\n"
    ),
    "a model that cannot be built": (
        "from pydantic import BaseModel\nclass Order(BaseModel):\n    total: 'Decimal'\n"
    ),
    "a value": "Order = 5",
}


@pytest.mark.parametrize("kind", NOT_CHECKABLE)
def test_an_annotation_that_no_payload_can_be_checked_against_is_refused(
    load: Load, kind: str
) -> None:
    with pytest.raises(HandlerImportError, match="annotation") as refused:
        load(
            f"from jobfleet_worker import handler\n{NOT_CHECKABLE[kind]}\n"
            "@handler('job')\ndef f(payload: Order): ...\n"
        )
    assert "\n" not in str(refused.value)
