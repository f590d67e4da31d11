"""Fixtures of the client tests: fresh worlds, and gateways that end with the test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.clients.gateway import Gateway
from tests.clients.tools import World


@pytest.fixture
def new_world(tmp_path: Path) -> Callable[[], World]:
    """Makes a world with an empty HOME and empty caches at each call."""
    numbers = count(1)
    return lambda: World(tmp_path / f"world{next(numbers)}")


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    return new_world()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways with the arguments of `Gateway`, and stops them after the test."""
    numbers = count(1)
    with ExitStack() as running:

        def start(*arguments: Any, **settings: Any) -> Gateway:
            return running.enter_context(Gateway(tmp_path / f"gateway{next(numbers)}", *arguments, **settings))

        yield start
