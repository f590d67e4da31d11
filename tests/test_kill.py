"""kill -9 at any moment: what a client was told about is there, and nothing partial is ever served."""

import asyncio
import os
import random
import re
import signal
from pathlib import Path

import aiohttp

from tests.clients.gateway import DELETE, Gateway
from tests.fakes.artifacts import wheel
from tests.fakes.upstream import FaultyUpstream

UPLOADS = 200
KILLS = 8
PAUSE = 0.05  # seconds that a client waits before it tries again


class Traffic:
    """Uploads and downloads that go on while the gateway dies and comes back."""

    def __init__(self, url: str, token: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}
        self.session = session
        self.acknowledged: dict[str, bytes] = {}
        self.lies: list[str] = []
        self.right = 0
        self.done = 0

    async def upload(self, number: int) -> bool:
        """Whether the server was there to hear of it."""
        artifact = wheel(size=random.Random(number).randrange(10_000, 400_000)).build(
            f"acme-{number % 20}", f"1.{number}"
        )
        form = aiohttp.FormData()
        for name, value in {
            ":action": "file_upload",
            "protocol_version": "1",
            "metadata_version": "2.1",
            "name": f"acme-{number % 20}",
            "version": f"1.{number}",
            "filetype": "bdist_wheel",
            "pyversion": "py3",
            "sha256_digest": artifact.sha256,
        }.items():
            form.add_field(name, value)
        form.add_field("content", artifact.body, filename=artifact.filename)
        try:
            async with self.session.post(
                f"{self.url}/pypi/acme/tools/legacy/", data=form, headers=self.headers
            ) as response:
                if response.status == 200:
                    path = f"/pypi/acme/tools/files/acme-{number % 20}/{artifact.sha256}/{artifact.filename}"
                    self.acknowledged[path] = artifact.body
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


async def test_no_acknowledged_file_is_lost_and_no_partial_file_is_served(tmp_path: Path) -> None:
    chance = random.Random(20_26)
    async with FaultyUpstream() as fake:
        public = fake.pypi("left", {f"1.{n}": wheel(size=300_000) for n in range(30)})
        gateway = Gateway(
            tmp_path / "gateway",
            {"pypi": {"acme/tools": {"layers": ["hosted", "fake"]}}},
            upstreams={"fake": {"type": "pypi", "url": fake.pypi_url}},
            workers=2,
        )
        await asyncio.to_thread(gateway.start)
        try:
            await asyncio.to_thread(gateway.cli, "user", "create", "ada", "--admin", "--data", str(gateway.data))
            gateway.users.add("ada")
            token = await asyncio.to_thread(gateway.token, "ada", DELETE)
            timeout = aiohttp.ClientTimeout(total=20)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                traffic = Traffic(gateway.url, token, session)
                await _storm(
                    gateway,
                    traffic,
                    [(f"/pypi/acme/tools/files/left/{a.sha256}/{a.filename}", a.body) for a in public],
                    chance,
                )
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
