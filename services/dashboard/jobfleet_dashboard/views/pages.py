"""Templates and the two ways to answer: a whole page, or the fragment that htmx asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.runtime import Context
from jinja2_fragments import render_block

from jobfleet_contracts.codec import format_time
from jobfleet_dashboard.root_path import rooted
from jobfleet_dashboard.views.page_state import digest_of, stream_address
from jobfleet_dashboard.views.rooted_addresses import RootedAddresses
from jobfleet_dashboard.views.short_id import short
from jobfleet_dashboard.views.time_range import WINDOW_NAMES, address_time, input_value
from jobfleet_protocol.reading.durations import seconds_between, spell

HERE = Path(__file__).parent.parent
STATIC = HERE / "static"
VARY = "HX-Request-Type, Cookie"
_NO_PARTS = frozenset({"title", "description", "main", "stream"})
_Block = Callable[[Context], Iterator[str]]


class Pages:
    """All templates of the dashboard."""

    def __init__(self, *, version: str, root_path: str) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            extensions=[RootedAddresses],
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "short": short,
            "utc": html_time,
            "spell": spell,
            "input_value": input_value,
            "in_address": address_time,
        }
        self._environment.globals |= {
            "version": version,
            "root_path": root_path,
            "rooted": lambda address: rooted(address, root_path),
            "asset": _Assets(),
            "window_names": WINDOW_NAMES,
            "stream_address": stream_address,
            "ago": lambda moment, now: spell(seconds_between(moment, now)),
        }

    def fragment(self, template: str, block: str, **context: Any) -> str:
        """Return one block of a template."""
        return render_block(self._environment, template, block, **{"shown": {}, **context})

    def page(self, template: str, **context: Any) -> str:
        """Return a whole page; ``shown`` in it are the digests of the parts rendered so far."""
        found, shown = self._environment.get_template(template), dict[str, str]()
        inner = found.new_context({"shown": shown, **context})
        for name, (block, *others) in inner.blocks.items():
            if name not in _NO_PARTS:
                inner.blocks[name] = [_noted(name, block, shown), *others]
        return "".join(found.root_render_func(inner))


def _noted(name: str, block: _Block, shown: dict[str, str]) -> _Block:
    """Return the block, which notes the digest of what it renders."""

    def run(context: Context) -> Iterator[str]:
        text = "".join(block(context))
        shown[name] = digest_of(text)
        yield text

    return run


class _Assets:
    """Addresses of static files that change with their content, so that caches may keep them."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        if name not in self._known:
            digest = sha256((STATIC / name).read_bytes()).hexdigest()[:12]
            self._known[name] = f"/static/{name}?v={digest}"
        return self._known[name]


def html_time(moment: datetime) -> str:
    """Return a time as ``datetime`` attributes hold it: with three fraction digits, not six."""
    return f"{format_time(moment)[:-4]}Z"


def is_partial(request: Request) -> bool:
    """Whether htmx asks for a fragment; a restored history entry wants the whole page."""
    return request.headers.get("HX-Request-Type") == "partial"


def html(body: str, status: int = 200) -> HTMLResponse:
    """Return a page or fragment with the headers that keep the two apart in caches."""
    return HTMLResponse(body, status, {"Vary": VARY, "Cache-Control": "no-store"})


def go_to(request: Request, address: str) -> Response:
    """Send the browser on after a POST, with scripts and without."""
    if is_partial(request):
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, status_code=303)
