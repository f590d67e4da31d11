"""Background work with an owner: started by whoever needs it, awaited by whoever closes the owner."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

import structlog

from gateway.errors import Unknown

T = TypeVar("T")
_log = structlog.get_logger("tasks")


class Tasks:
    """Owns running tasks, so that none is lost: `async with Tasks() as tasks` cancels and awaits them at the end."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `work` beside the caller. An error is logged once, when the task ends; that nothing is there is none."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def own(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run `work` for as long as this owner lives; nobody awaits it."""
        _ = self.start(work, name)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Unknown):
            _log.warning("background work failed", task=task.get_name(), error=str(error), kind=type(error).__name__)


class Flights:
    """Single flight: however many ask for one key at once, the work runs once, and goes on when they leave."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._flights: dict[object, asyncio.Task[Any]] = {}

    def join(self, key: object, work: Callable[[], Coroutine[Any, Any, T]], name: str) -> asyncio.Task[T]:
        """The running task for `key`, started with `work()` if there is none; await it shielded."""
        task = self._flights.get(key)
        if task is None:
            task = self._tasks.start(work(), name)
            self._flights[key] = task
            task.add_done_callback(lambda _: self._flights.pop(key, None))
        return task
