"""Fixtures of the client tests: fresh worlds, gateways that end with the test, fake upstreams in a thread, daemons."""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.clients import jvm
from tests.clients.containers import Machine
from tests.clients.daemons import Containerd, DebianRegistry, Dockerd
from tests.clients.gateway import WRITE, Gateway
from tests.clients.install import is_required
from tests.clients.tools import World, tool
from tests.fakes.containers import ContainerUpstream
from tests.fakes.upstream import FaultyUpstream

Upstream = TypeVar("Upstream", bound=FaultyUpstream)


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
    with _in_a_thread(FaultyUpstream()) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def fake_store() -> Iterator[FaultyUpstream]:
    """Another server, to which an upstream may send those who ask it for a file."""
    with _in_a_thread(FaultyUpstream()) as store:
        yield store


@pytest.fixture(scope="module")
def images() -> Iterator[ContainerUpstream]:
    """A fake container registry in a thread of its own; one for each module."""
    with _in_a_thread(ContainerUpstream()) as upstream:
        yield upstream


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """The one docker daemon of a run."""
    _require_root()
    with _short_folder() as folder, Dockerd(folder) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def containerd() -> Iterator[Containerd]:
    """The one containerd of a run."""
    _require_root()
    with _short_folder() as folder, Containerd(folder) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def debian_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    """Debian's docker-registry, empty; one for each module."""
    with DebianRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def machine(world: World, dockerd: Dockerd, containerd: Containerd) -> Machine:
    """A computer with every container tool, on which nobody is logged in."""
    return Machine(world, dockerd, containerd)


@contextmanager
def _in_a_thread(upstream: Upstream) -> Iterator[Upstream]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake upstream")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(upstream.start(), loop).result(10)
        yield upstream
        asyncio.run_coroutine_threadsafe(upstream.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _require_root() -> None:
    """Daemons that mount need it; where CI=true, its lack is a failure."""
    if os.geteuid() != 0:
        (pytest.fail if is_required() else pytest.skip)("a container daemon needs root")


@contextmanager
def _short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a socket (107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="ent-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A private repository in front of Maven Central; its cache is shared by all tests of a run."""
    repositories = {"maven": {"acme/jvm": {"layers": ["hosted", "maven-central"]}}}
    with Gateway(tmp_path_factory.mktemp("central"), repositories) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def warm(central: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The local repository of a Maven that has deployed once through `central`: it has every plugin of small projects."""
    filled: dict[str, Path] = {}
    token, base = central.token("acme", WRITE), central.base("maven/acme/jvm")

    def fill(client: str) -> Path:
        if client not in filled:
            tool(client)
            world = World(tmp_path_factory.mktemp(f"warm-{client}"))
            jvm.configure_maven(world, base, token)
            jvm.make_library(world.work / "first", f"com.warm.{client}:first")
            jvm.deploy(client, world, base, jvm.COPY, cwd=world.work / "first").succeeded()
            filled[client] = world.home / ".m2" / "repository"
        return filled[client]

    return fill
