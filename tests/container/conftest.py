"""A hosted container repository and the plainest client for it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.config import RepositoryConfig
from tests.conftest import StartGateway, private
from tests.container.talking import Registry

Hosting = Callable[..., Awaitable[Registry]]


@pytest.fixture
def hosting(start_gateway: StartGateway) -> Hosting:
    """Start a gateway that hosts `acme/app` for those with a grant, and give the client of its administrator."""

    async def start(config: RepositoryConfig | None = None, **settings: Any) -> Registry:
        repositories = {"container": {"acme/app": config or private("hosted")}}
        gateway = await start_gateway(repositories, **settings)
        return Registry(gateway, token=await gateway.token())

    return start
