"""The real application in process: one worker on a free port, a real catalogue, and fakes as upstreams."""

import json as json_
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, settings
from yarl import URL

from gateway.adapter import load_adapters
from gateway.app import running
from gateway.auth import tokens
from gateway.compose import prepare
from gateway.config import Config, LogConfig, RepositoryConfig, ServerConfig, UpstreamConfig
from gateway.model import ActorKind, RepositoryKey, Scope, Visibility
from gateway.services import Services

# A busy machine is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Reply:
    """A response whose body has been read, with the methods of aiohttp's."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""

    async def read(self) -> bytes:
        return self.body

    async def text(self) -> str:
        return self.body.decode()

    async def json(self) -> Any:
        return json_.loads(self.body)


@dataclass
class Gateway:
    """A running gateway: its address, its services, and a client session that follows no redirects by itself."""

    url: str
    services: Services
    session: aiohttp.ClientSession
    users: dict[str, int] = field(default_factory=dict)

    async def user(self, name: str, *, is_admin: bool = False) -> int:
        """The id of a user, made when it is not there."""
        if name not in self.users:
            made = await self.services.identities.create_actor(ActorKind.USER, name, is_admin=is_admin)
            self.users[name] = made.id
        return self.users[name]

    async def token(
        self,
        user: str = "ada",
        scopes: tuple[Scope, ...] = (Scope.READ, Scope.WRITE, Scope.DELETE),
        *,
        is_admin: bool = True,
        **limits: Any,
    ) -> str:
        """A token of a user (an administrator unless told otherwise)."""
        secret = tokens.mint()
        await self.services.identities.create_token(
            await self.user(user, is_admin=is_admin),
            sha256=tokens.sha256(secret),
            hint=secret[:8],
            name="test",
            scopes=frozenset(scopes),
            **limits,
        )
        return secret

    async def grant(self, user: str, role: str, repository: str, package: str = "*") -> None:
        """Give a user a role."""
        await self.services.identities.create_grant(
            subject_kind="user",
            subject_id=await self.user(user),
            role=role,
            repository=repository,
            package=package,
            created_by="test",
        )

    async def get(self, path: str, token: str | None = None, **headers: str) -> Reply:
        """GET below the gateway's address; the body has been read."""
        return await self.request("GET", path, token, **headers)

    async def request(
        self, method: str, path: str, token: str | None = None, *, data: Any = None, json: Any = None, **headers: str
    ) -> Reply:
        """Any request; header names are given with underscores. The body has been read."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        async with self.session.request(
            method,
            URL(self.url + path.lstrip("/"), encoded=True),
            headers=sent,
            data=data,
            json=json,
            allow_redirects=False,
        ) as response:
            return Reply(response.status, response.headers, await response.read(), response.reason or "")


StartGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start_gateway(tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Start gateways over `tmp_path`: `await start_gateway({"pypi": {"acme/tools": RepositoryConfig(…)}}, {…})`."""
    async with AsyncExitStack() as stack:

        async def start(
            repositories: Mapping[str, Mapping[str, RepositoryConfig]] | None = None,
            upstreams: Mapping[str, UpstreamConfig] | None = None,
            *,
            data: Path | None = None,
            server: ServerConfig | None = None,
            config: Config | None = None,
        ) -> Gateway:
            port = free_port()
            made = config or Config()
            made = replace(
                made,
                data=data or tmp_path / "data",
                server=replace(server or ServerConfig(), port=port, shutdown_seconds=1.0),
                log=LogConfig(access="off"),
                upstreams=upstreams or {},
                repositories=repositories or {},
            )
            adapters = load_adapters()
            await prepare(made, adapters)
            services = await stack.enter_async_context(running(made, adapters))
            session = await stack.enter_async_context(
                aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"})
            )
            return Gateway(f"http://127.0.0.1:{port}/", services, session)

        yield start


def public(*layers: str, **more: Any) -> RepositoryConfig:
    """A repository that everybody may read."""
    return RepositoryConfig(layers=layers or ("hosted",), visibility=Visibility.PUBLIC, **more)


def private(*layers: str, **more: Any) -> RepositoryConfig:
    """A repository that needs a grant."""
    return RepositoryConfig(layers=layers or ("hosted",), **more)


def key(text: str) -> RepositoryKey:
    return RepositoryKey.parse(text)
