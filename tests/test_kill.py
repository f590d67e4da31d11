"""kill -9 at any moment, while wheels or tarballs are published: what a client was told about is there, and nothing partial is ever served."""

import asyncio
import os
import random
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients.gateway import DELETE, Gateway
from tests.ecosystems import npm_document
from tests.fakes.artifacts import Artifact, Recipe, tarball, wheel
from tests.fakes.upstream import FaultyUpstream

UPLOADS = 200
KILLS = 8
PAUSE = 0.05  # seconds that a client waits before it tries again


@dataclass(frozen=True)
class Publication:
    """One upload, as the ecosystem's client sends it. file: where it is read afterwards."""

    method: str
    path: str
    content: dict[str, Any]
    file: str
    body: bytes


def pypi_publication(number: int) -> Publication:
    name, version = f"acme-{number % 20}", f"1.{number}"
    artifact = wheel(size=_size(number)).build(name, version)
    form = aiohttp.FormData()
    for key, value in {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "sha256_digest": artifact.sha256,
    }.items():
        form.add_field(key, value)
    form.add_field("content", artifact.body, filename=artifact.filename)
    return Publication("POST", "/pypi/acme/tools/legacy/", {"data": form}, pypi_file(name, artifact), artifact.body)


def pypi_file(name: str, artifact: Artifact) -> str:
    return f"/pypi/acme/tools/files/{name}/{artifact.sha256}/{artifact.filename}"


def npm_publication(number: int) -> Publication:
    """Versions of a package meet in its packument, which each of them changes."""
    name, version = f"acme-{number % 20}", f"1.{number}.0"
    artifact = tarball(size=_size(number)).build(name, version)
    document = npm_document(name, version, artifact)
    return Publication("PUT", f"/npm/acme/tools/{name}", {"json": document}, npm_file(name, artifact), artifact.body)


def npm_file(name: str, artifact: Artifact) -> str:
    return f"/npm/acme/tools/{name}/-/{artifact.filename}"


def _size(number: int) -> int:
    return random.Random(number).randrange(10_000, 400_000)


class Traffic:
    """Uploads and downloads that go on while the gateway dies and comes back."""

    def __init__(
        self, url: str, publication: Callable[[int], Publication], token: str, session: aiohttp.ClientSession
    ) -> None:
        self.url = url
        self.publication = publication
        self.headers = {"Authorization": f"Bearer {token}"}
        self.session = session
        self.acknowledged: dict[str, bytes] = {}
        self.lies: list[str] = []
        self.right = 0
        self.done = 0

    async def upload(self, number: int) -> bool:
        """Whether the server was there to hear of it."""
        sent = self.publication(number)
        try:
            async with self.session.request(
                sent.method, self.url + sent.path, **sent.content, headers=self.headers
            ) as response:
                if response.status in {200, 201}:
                    self.acknowledged[sent.file] = sent.body
        except aiohttp.ClientConnectorError:
            return False
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass
        self.done += 1
        return True

    async def download(self, path: str, expected: bytes) -> None:
        try:
            async with self.session.get(self.url + path, headers=self.headers) as response:
                if response.status == 200:
                    whole = await response.read()
                    self.right += whole == expected
                    self.lies += [path] if whole != expected else []
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(PAUSE)


@pytest.mark.parametrize(
    ("kind", "recipe", "publication", "file"),
    [("pypi", wheel, pypi_publication, pypi_file), ("npm", tarball, npm_publication, npm_file)],
    ids=["pypi", "npm"],
)
async def test_no_acknowledged_file_is_lost_and_no_partial_file_is_served(
    tmp_path: Path,
    kind: str,
    recipe: Callable[..., Recipe],
    publication: Callable[[int], Publication],
    file: Callable[[str, Artifact], str],
) -> None:
    chance = random.Random(20_26)
    async with FaultyUpstream() as fake:
        public = getattr(fake, kind)("left", {f"1.{n}.0": recipe(size=300_000) for n in range(30)})
        gateway = Gateway(
            tmp_path / "gateway",
            {kind: {"acme/tools": {"layers": ["hosted", "fake"]}}},
            upstreams={"fake": {"type": kind, "url": fake.config(kind).url}},
            workers=2,
        )
        await asyncio.to_thread(gateway.start)
        try:
            await asyncio.to_thread(gateway.cli, "user", "create", "ada", "--admin", "--data", str(gateway.data))
            gateway.users.add("ada")
            token = await asyncio.to_thread(gateway.token, "ada", DELETE)
            timeout = aiohttp.ClientTimeout(total=20)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                traffic = Traffic(gateway.url, publication, token, session)
                await _storm(gateway, traffic, [(file("left", one), one.body) for one in public], chance)
                assert traffic.lies == []
                assert len(traffic.acknowledged) > UPLOADS // 2
                assert traffic.right > UPLOADS // 2

                for path, body in traffic.acknowledged.items():
                    async with session.get(gateway.url + path, headers=traffic.headers) as response:
                        assert response.status == 200, path
                        assert await response.read() == body
        finally:
            await asyncio.to_thread(gateway.stop)
        verified = await asyncio.to_thread(gateway.cli, "verify", "--data", str(gateway.data), timeout=120)
        assert verified.code == 0, verified.text
        assert _blobs_read(verified.text) >= len(traffic.acknowledged)


def _blobs_read(said: str) -> int:
    """How many blobs `entrepot verify` says that it has hashed."""
    found = re.search(r"(\d+) blobs", said)
    return int(found[1]) if found else 0


async def _storm(gateway: Gateway, traffic: Traffic, public: list[tuple[str, bytes]], chance: random.Random) -> None:
    numbers = iter(range(UPLOADS))

    async def uploads() -> None:
        for number in numbers:
            while not await traffic.upload(number):  # noqa: ASYNC110 nobody says when it is back
                await asyncio.sleep(PAUSE)

    async def downloads() -> None:
        while traffic.done < UPLOADS:
            await traffic.download(*chance.choice(public))

    async def kills() -> None:
        for kill in range(KILLS):
            goal = UPLOADS * (kill + 1) // (KILLS + 1)
            while traffic.done < goal:  # noqa: ASYNC110 the moment shall be a random one
                await asyncio.sleep(chance.random() / 20)
            os.killpg(gateway.pid, signal.SIGKILL)
            await asyncio.to_thread(gateway.restart)

    async with asyncio.TaskGroup() as group:
        for work in (uploads(), uploads(), uploads(), downloads(), downloads(), kills()):
            group.create_task(work)
