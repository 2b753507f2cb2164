"""A whole fleet in one thread of this process: dashboard and workers on one backend."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.dashboard_process import dashboard_options
from jobfleet_cli.worker_process import worker_options
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.server import serve
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.worker import Worker

START_SECONDS = 15.0


class LocalFleet:
    """Starts quickly, ends cleanly, and is reached over real HTTP on loopback."""

    def __init__(
        self,
        *,
        data_dir: Path,
        workers: int = 1,
        port: int = 0,
        handlers: tuple[str, ...] = (),
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the backend's folder; ``changes`` are settings that differ from the defaults."""
        settings: dict[str, Any] = {
            "lease_seconds": 15,
            "lease_renew_seconds": 5,
            "rescue_seconds": 1,
        }
        settings |= {"defer_seconds": 1, "drain_seconds": 1, "data_dir": data_dir}
        settings["no_handler_seconds"] = 0.0  # a type without a handler fails at once
        self._settings = Settings(_env_file=None, **(settings | dict(changes or {})))
        self._workers = workers
        self._port = port
        self._handlers = handlers
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="local-fleet", daemon=True)
        self._stop: Callable[[], None] = lambda: None
        self._problem: BaseException | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether it needs no server."""
        return self._settings.backend == "embedded"

    @property
    def address(self) -> str:
        """Where the dashboard answers."""
        return f"http://127.0.0.1:{self._port}{self._settings.root_path or ''}"

    def start(self) -> None:
        """Return once the dashboard answers.

        Raises:
            RuntimeError: it did not start in time, or failed.
        """
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._problem is not None:
            raise RuntimeError("the local fleet did not start") from self._problem

    def stop(self) -> None:
        """Drain and end."""
        self._stop()
        self._thread.join(START_SECONDS)

    def submit(self, job_type: str = "demo.steps", **fields: Any) -> str:
        """Submit a job over HTTP and return its id."""
        return str(self._post("/api/jobs", {"type": job_type, **fields})["jobId"])

    def submit_many(self, jobs: Iterable[Mapping[str, Any]]) -> None:
        """Submit up to 1,000 jobs in one request."""
        self._post("/api/jobs/bulk", {"jobs": list(jobs)})

    def submit_group(self, name: str, jobs: Sequence[Mapping[str, Any]]) -> str:
        """Open a group that waits for failed members, fill and seal it; return its id."""
        opened = self._post("/api/groups", {"name": name, "onFailure": "hold"})
        group_id = str(opened["jobId"])
        members = [{"type": "demo.steps", **job} for job in jobs]
        self._post(f"/api/groups/{group_id}/members", {"first": 0, "jobs": members})
        self._post(f"/api/groups/{group_id}/seal", {"total": len(members)})
        return group_id

    def declare(self, name: str, **fields: Any) -> None:
        """Declare a schedule over HTTP."""
        self._send("PUT", f"/api/schedules/{name}", {"type": "demo.steps", **fields})

    def limit(self, name: str, **fields: Any) -> None:
        """Set a named limit."""
        self._send("PUT", f"/api/limits/{name}", fields)

    def run_now(self, schedule: str) -> str:
        """Make one more job of a schedule and return its id."""
        return str(self._post(f"/api/schedules/{schedule}/run", {})["jobId"])

    def act(self, action: str, job_id: str) -> None:
        """Cancel, redrive or dismiss a job as another client would."""
        self._post(f"/api/jobs/{job_id}/{action}", {})

    def pause(self, name: str, reason: str) -> None:
        """Pause a schedule."""
        self._post(f"/api/schedules/{name}/pause", {"reason": reason})

    def job(self, job_id: str) -> dict[str, Any]:
        """Return the job's document."""
        answer = urlopen(f"{self.address}/api/jobs/{job_id}", timeout=10)  # noqa: S310
        document: dict[str, Any] = json.load(answer)
        return document

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/json"}
        address, text = f"{self.address}{path}", json.dumps(body).encode()
        request = Request(address, text, headers, method=method)  # noqa: S310
        document: dict[str, Any] = json.load(urlopen(request, timeout=60))  # noqa: S310
        return document

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - shown by the thread that started this one
            self._problem = error
            self._ready.set()

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        backend = await open_backend(self._settings)
        options = dashboard_options(self._settings, host="127.0.0.1", port=self._port)
        app = create_app(backend=backend, clock=SystemClock(), options=options)
        handlers = Handlers.load(self._handlers)
        workers = [
            Worker(
                backend=backend,
                handlers=handlers,
                options=worker_options(self._settings),
                clock=SystemClock(),
            )
            for _ in range(self._workers)
        ]

        def ready(port: int) -> None:
            self._port = port
            self._ready.set()

        def ask() -> None:
            loop.call_soon_threadsafe(stop.set)

        self._stop = ask
        try:
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker.run(), name="local-worker")
                await serve(app, "127.0.0.1", self._port, ready=ready, stop=stop)
                for worker in workers:
                    worker.request_stop()
        finally:
            await backend.close()
