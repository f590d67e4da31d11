from collections.abc import Awaitable, Callable

import pytest

from gateway.config import UpstreamConfig
from tests.conftest import StartGateway, public
from tests.maven.asking import Client

Open = Callable[..., Awaitable[Client]]


@pytest.fixture
async def jvm(start_gateway: StartGateway) -> Client:
    """An administrator's client of a public hosted repository."""
    gateway = await start_gateway({"maven": {"acme/jvm": public("hosted")}})
    return Client(gateway, await gateway.token())


@pytest.fixture
def behind(start_gateway: StartGateway) -> Open:
    """`await behind(fake.config("maven"), reserve=…)`: the same, with upstreams one, two, … behind the hosted layer."""

    async def open_(*upstreams: UpstreamConfig, hosted: bool = True, **settings: object) -> Client:
        named = dict(zip(("one", "two", "three"), upstreams, strict=False))
        layers = (*(("hosted",) if hosted else ()), *named)
        gateway = await start_gateway({"maven": {"acme/jvm": public(*layers, **settings)}}, named)
        return Client(gateway, await gateway.token())

    return open_
