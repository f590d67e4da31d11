"""A gateway with one public npm repository, `acme/widgets`, over a fake upstream."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.model import Scope
from tests.conftest import Gateway, Reply, StartGateway, public
from tests.fakes.artifacts import Artifact, Recipe, tarball
from tests.fakes.upstream import FaultyUpstream
from tests.npm.documents import publication

ALL = (Scope.READ, Scope.WRITE, Scope.DELETE, Scope.ADMIN)


@dataclass
class Registry:
    """What a client of `npm/acme/widgets/` can do, and the upstream behind it."""

    gateway: Gateway
    fake: FaultyUpstream
    path: str = "npm/acme/widgets/"

    @property
    def base(self) -> str:
        return self.gateway.url + self.path

    async def get(self, path: str, token: str | None = None, **headers: str) -> Reply:
        return await self.gateway.get(self.path + path, token, **{"Accept_Encoding": "identity", **headers})

    async def send(self, method: str, path: str, token: str | None, value: Any = None, **headers: str) -> Reply:
        data = None if value is None else json.dumps(value).encode()
        return await self.gateway.request(method, self.path + path, token, data=data, **headers)

    async def publish(
        self, name: str, version: str, token: str | None, recipe: Recipe | None = None, **changes: Any
    ) -> tuple[Reply, Artifact]:
        built = (recipe or tarball()).build(name, version)
        document = publication(name, version, built, **changes)
        return await self.send("PUT", name.replace("/", "%2f"), token, document), built

    async def document(self, name: str, token: str | None = None, **headers: str) -> dict[str, Any]:
        reply = await self.get(name.replace("/", "%2f"), token, **{"Accept": "application/json", **headers})
        assert reply.status == 200, reply.body
        value: dict[str, Any] = json.loads(reply.body)
        return value


@pytest.fixture
async def registry(start_gateway: StartGateway) -> AsyncIterator[Registry]:
    async with FaultyUpstream() as fake:
        repositories = {"npm": {"acme/widgets": public("hosted", "fake", reserve=("@acme/*",), merge=("both",))}}
        gateway = await start_gateway(repositories, {"fake": fake.config("npm")})
        yield Registry(gateway, fake)


@pytest.fixture
async def token(registry: Registry) -> str:
    """Of an administrator, without the admin scope."""
    return await registry.gateway.token()


@pytest.fixture
async def admin(registry: Registry) -> str:
    """Of an administrator, with every scope."""
    return await registry.gateway.token("root", ALL)
