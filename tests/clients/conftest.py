"""Fixtures of the client tests: fresh worlds, gateways that end with the test, and a fake upstream in a thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.clients.gateway import Gateway
from tests.clients.tools import World
from tests.fakes.upstream import FaultyUpstream


@pytest.fixture
def new_world(tmp_path: Path) -> Callable[[], World]:
    """Makes a world with an empty HOME and empty caches at each call."""
    numbers = count(1)
    return lambda: World(tmp_path / f"world{next(numbers)}")


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    return new_world()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways with the arguments of `Gateway`, and stops them after the test."""
    numbers = count(1)
    with ExitStack() as running:

        def start(*arguments: Any, **settings: Any) -> Gateway:
            return running.enter_context(Gateway(tmp_path / f"gateway{next(numbers)}", *arguments, **settings))

        yield start


@pytest.fixture(scope="module")
def fake() -> Iterator[FaultyUpstream]:
    """A fake upstream that serves from a thread, since these tests wait for processes; one for each module."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake upstream")
    thread.start()
    upstream = FaultyUpstream()
    try:
        asyncio.run_coroutine_threadsafe(upstream.start(), loop).result(10)
        yield upstream
        asyncio.run_coroutine_threadsafe(upstream.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
