"""A gateway with one public NuGet repository, `acme/tools`, over a fake v3 feed."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.model import Scope
from tests.conftest import Gateway, Reply, StartGateway, public
from tests.fakes.artifacts import Artifact, Recipe
from tests.fakes.nuget import package
from tests.fakes.upstream import FaultyUpstream

ALL = (Scope.READ, Scope.WRITE, Scope.DELETE, Scope.ADMIN)


@dataclass
class Feed:
    """What a client of `nuget/acme/tools/` can do, and the upstream behind it."""

    gateway: Gateway
    fake: FaultyUpstream
    path: str = "nuget/acme/tools/"

    @property
    def base(self) -> str:
        return self.gateway.url + self.path

    async def get(self, path: str, token: str | None = None, **headers: str) -> Reply:
        return await self.gateway.get(self.path + path, token, **headers)

    async def json(self, path: str, token: str | None = None) -> Any:
        reply = await self.get(path, token)
        assert reply.status == 200, (path, reply.status, reply.body)
        return json.loads(reply.body)

    async def send(self, method: str, path: str, token: str | None, data: Any = None, **headers: str) -> Reply:
        return await self.gateway.request(method, self.path + path, token, data=data, **headers)

    async def push(self, body: bytes, token: str | None, path: str = "package/", **headers: str) -> Reply:
        """As dotnet does: a chunked form whose names are not quoted, and the key in a header of its own."""
        key = {} if token is None else {"X_NuGet_ApiKey": token}
        sent = {"Content_Type": 'multipart/form-data; boundary="b-1"', **key, **headers}
        return await self.gateway.request("PUT", self.path + path, data=form(body), **sent)

    async def publish(
        self, id_: str, version: str, token: str | None, recipe: Recipe | None = None
    ) -> tuple[Reply, Artifact]:
        built = (recipe or package()).build(id_, version)
        return await self.push(built.body, token), built

    async def versions(self, id_: str, token: str | None = None) -> list[str]:
        listed: list[str] = (await self.json(f"flat/{id_}/index.json", token))["versions"]
        return listed

    async def found(self, query: str, token: str | None = None) -> list[str]:
        return [hit["id"] for hit in (await self.json(f"search?{query}", token))["data"]]


async def form(body: bytes) -> AsyncIterator[bytes]:
    """The form that dotnet sends, in pieces."""
    yield b"--b-1\r\nContent-Type: application/octet-stream\r\n"
    yield b"Content-Disposition: form-data; name=package; filename=package.nupkg; filename*=utf-8''package.nupkg\r\n\r\n"
    for start in range(0, len(body), 64 * 1024):
        yield body[start : start + 64 * 1024]
    yield b"\r\n--b-1--\r\n"


@pytest.fixture
async def feed(start_gateway: StartGateway) -> AsyncIterator[Feed]:
    async with FaultyUpstream() as fake:
        repositories = {
            "nuget": {
                "acme/tools": public("hosted", "fake", reserve=("acme.*",), merge=("both",)),
                "acme/strict": public("hosted", settings={"hard_delete": True}),
            }
        }
        fake.nuget("Nothing.Much", {})
        gateway = await start_gateway(repositories, {"fake": fake.config("nuget")})
        yield Feed(gateway, fake)


@pytest.fixture
async def token(feed: Feed) -> str:
    return await feed.gateway.token()
