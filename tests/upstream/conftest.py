"""What every test of the upstream client needs: a fake upstream, a second host, and a client whose time stands still."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.config import Config
from gateway.upstream.client import UpstreamClient
from gateway.upstream.registry import Upstream, build_upstreams
from tests.fakes.upstream import FaultyUpstream


@dataclass
class Clock:
    """Time that moves only when told, or when the client sleeps; `slept` lists its waits in seconds."""

    time: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def straight() -> dict[str, str]:
    """The environment without its proxies."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def fake() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as fake:
        fake.serve("/simple/acme/", b"the page", "text/html")
        fake.serve("/files/acme.whl", bytes(range(256)) * 4000)
        yield fake


@pytest.fixture
async def elsewhere() -> AsyncIterator[FaultyUpstream]:
    """Another host, which serves the same paths."""
    async with FaultyUpstream() as other:
        other.serve("/simple/acme/", b"the page elsewhere", "text/html")
        other.serve("/files/acme.whl", b"a file elsewhere")
        yield other


@pytest.fixture
async def client(clock: Clock) -> AsyncIterator[UpstreamClient]:
    async with UpstreamClient(
        environ=straight(), clock=clock, now=clock, sleep=clock.sleep, chance=lambda: 0.5
    ) as client:
        yield client


@pytest.fixture
def upstream(fake: FaultyUpstream) -> Callable[..., Upstream]:
    """Builds the fake's upstream; keywords are keys of its configuration."""

    def build(**keys: Any) -> Upstream:
        return build_upstreams(Config(upstreams={"fake": fake.config("pypi", **keys)}))["fake"]

    return build
