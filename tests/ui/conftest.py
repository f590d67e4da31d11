"""The dashboard alone, over a real catalogue: a browser is an aiohttp client that follows nothing by itself."""

import re
import shutil
from dataclasses import dataclass, field

import pytest
from aiohttp import DummyCookieJar
from aiohttp.test_utils import RawTestServer, TestClient
from argon2 import PasswordHasher

from gateway.adapter import Adapter
from gateway.auth import passwords
from gateway.auth.authenticate import Authenticator, nobody
from gateway.compose import open_services
from gateway.config import Config, RepositoryConfig
from gateway.errors import Invalid, PathInvalid
from gateway.model import ActorKind, RepositoryKey, Visibility
from gateway.store.database import Database
from gateway.store.rows import NewFileRow
from gateway.ui.call import UiServices, Visit
from gateway.ui.routes import dispatch
from gateway.web.answers import Answer
from gateway.web.paths import guard

PASSWORD = "correct horse battery"


class PlainFormat:
    """Canonical names are lower case; nothing is ever parsed."""

    def normalize(self, package):
        if " " in package:
            raise Invalid("not a name")
        return package.lower()


ADAPTER = Adapter(
    type="pypi",
    format=PlainFormat(),
    routes=(),
    upstream="pypi",
    title="Python packages",
    snippets={"pip": lambda context: f"index-url = {context.base}simple/\n# token needed: {not context.is_anonymous}"},
)


@dataclass
class Dashboard:
    """A running dashboard, what it works with, and one browser."""

    ui: UiServices
    client: TestClient
    root: str = "http://gateway.example/"
    is_secure: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path, **headers):
        """A page's status, text and headers."""
        async with self.client.get(f"/-/ui/{path}", headers=self.headers | headers, allow_redirects=False) as response:
            response.page = await response.text()
            return response

    async def post(self, path, form=None, **headers):
        sent = self.headers | headers
        async with self.client.post(f"/-/ui/{path}", data=form or {}, headers=sent, allow_redirects=False) as response:
            response.page = await response.text()
            return response

    async def sign_in(self, name, password=PASSWORD):
        """Sign in and keep the cookie; returns the token for forms."""
        response = await self.post("sign-in", {"name": name, "password": password})
        assert response.status == 303, response.page
        self.headers = {"Cookie": response.headers["Set-Cookie"].partition(";")[0]}
        return await self.csrf()

    async def csrf(self, path="tokens"):
        return re.search(r'name="csrf" value="([0-9a-f]+)"', (await self.get(path)).page)[1]

    async def user(self, name, *, is_admin=False):
        return await self.ui.services.identities.create_actor(
            ActorKind.USER, name, password_hash=await passwords.hash(PASSWORD), is_admin=is_admin
        )

    async def repository(self, name, visibility=Visibility.PRIVATE, **more):
        key = RepositoryKey("pypi", *name.split("/"))
        config = RepositoryConfig(visibility=visibility, **more)
        return await self.ui.services.repositories.upsert(key, config, "api")

    async def publish(self, repository, package, *filenames, version="1.0", tags=None):
        digest = self.ui.services.hosted.put(b"bytes")
        rows = [
            NewFileRow(name, version, digest, 2048, {"sha256": digest.hex}, {}, "2026-01-01T00:00:00Z")
            for name in filenames
        ]
        await self.ui.services.packages.commit(repository.id, package, rows, tags=tags or {}, actor="ann")


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory):
    """A data folder with a catalogue and nothing in it, made once: migrating takes longer than a test."""
    folder = tmp_path_factory.mktemp("empty") / "data"
    folder.mkdir()
    database = Database(folder / "catalogue.sqlite")
    database.migrate()
    database.close()
    return folder


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    monkeypatch.setattr(passwords, "_decoys", [])


@pytest.fixture
async def dashboard(tmp_path, empty_folder):
    shutil.copytree(empty_folder, tmp_path / "data")
    config = Config(data=tmp_path / "data")
    async with open_services(config, [ADAPTER]) as services:
        authenticator = Authenticator(services.identities, services.database, config.auth)
        ui = UiServices.of(services, [ADAPTER], authenticator)

        async def handle(request):
            try:
                path = guard(request.raw_path.partition("?")[0])
                visit = Visit(path, nobody("192.0.2.7"), "192.0.2.7", made.is_secure, made.root, "request-1")
                answer = await dispatch(ui, request, visit)
            except PathInvalid as error:
                answer = Answer(error.status)
            await answer.send(request)
            return answer

        async with TestClient(RawTestServer(handle), cookie_jar=DummyCookieJar()) as client:
            made = Dashboard(ui, client)
            yield made
