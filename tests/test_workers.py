"""Several processes on one port: what one of them did, all of them know by the next request."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.clients.gateway import DELETE, Gateway
from tests.fakes.artifacts import wheel
from tests.fakes.faults import slow
from tests.fakes.upstream import FaultyUpstream

JSON = "application/vnd.pypi.simple.v1+json"


def admin_token(gateway: Gateway) -> str:
    gateway.cli("user", "create", "ada", "--admin", "--data", str(gateway.data)).succeeded()
    gateway.users.add("ada")
    return gateway.token("ada", DELETE)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def publish(session: aiohttp.ClientSession, gateway: Gateway, token: str, version: str) -> None:
    artifact = wheel().build("acme-tool", version)
    form = aiohttp.FormData()
    told = {":action": "file_upload", "protocol_version": "1", "metadata_version": "2.1", "name": "acme-tool"}
    for name, value in {
        **told,
        "version": version,
        "filetype": "bdist_wheel",
        "sha256_digest": artifact.sha256,
    }.items():
        form.add_field(name, value)
    form.add_field("content", artifact.body, filename=artifact.filename)
    headers = {"Authorization": f"Bearer {token}"}
    async with session.post(f"{gateway.url}/pypi/acme/tools/legacy/", data=form, headers=headers) as response:
        assert response.status == 200, await response.text()


async def fresh_read(gateway: Gateway, path: str, token: str) -> tuple[int, bytes]:
    """Over a new connection, so that any worker may get it."""
    headers = {"Authorization": f"Bearer {token}", "Accept": JSON, "Connection": "close"}
    async with aiohttp.ClientSession() as session, session.get(gateway.url + path, headers=headers) as response:
        return response.status, await response.read()


@pytest.fixture
async def two_workers(tmp_path: Path):
    gateway = Gateway(tmp_path / "gateway", {"pypi": {"acme/tools": {"layers": ["hosted"]}}}, workers=2)
    await asyncio.to_thread(gateway.start)
    yield gateway
    await asyncio.to_thread(gateway.stop)


async def test_a_publish_is_on_every_workers_page_by_the_next_request(two_workers: Gateway) -> None:
    token = await asyncio.to_thread(admin_token, two_workers)
    async with aiohttp.ClientSession() as session:
        for number in range(12):
            await publish(session, two_workers, token, f"1.{number}")
            pages = await asyncio.gather(
                *(fresh_read(two_workers, "/pypi/acme/tools/simple/acme-tool/", token) for _ in range(16))
            )
            assert all(f'"1.{number}"'.encode() in body for _, body in pages)


async def test_a_revoked_token_is_refused_by_every_worker_at_the_next_request(two_workers: Gateway) -> None:
    token = await asyncio.to_thread(admin_token, two_workers)
    path = "/pypi/acme/tools/simple/"
    before = await asyncio.gather(*(fresh_read(two_workers, path, token) for _ in range(16)))
    assert {status for status, _ in before} == {200}
    listed = await asyncio.to_thread(two_workers.cli, "token", "list", "--data", str(two_workers.data))
    number = next(word for line in listed.stdout.splitlines() for word in line.split() if word.isdigit())

    revoked = await asyncio.to_thread(two_workers.cli, "token", "revoke", number, "--data", str(two_workers.data))
    assert revoked.code == 0, revoked.output
    after = await asyncio.gather(*(fresh_read(two_workers, path, token) for _ in range(16)))

    assert {status for status, _ in after} == {401}


async def test_a_worker_that_dies_is_replaced(two_workers: Gateway) -> None:
    children = children_of(two_workers.pid)
    assert len(children) == 2

    os.kill(children[0], signal.SIGKILL)

    async with asyncio.timeout(15):
        while True:
            now = children_of(two_workers.pid)
            if len(now) == 2 and children[0] not in now:
                break
            await asyncio.sleep(0.05)


async def test_a_running_download_is_finished_before_the_server_stops(tmp_path: Path) -> None:
    async with FaultyUpstream() as fake:
        (artifact,) = fake.pypi("big", {"1.0": wheel(size=3_000_000)})
        fake.fault(slow(rate=1_500_000), f"/files/{artifact.filename}")
        gateway = Gateway(
            tmp_path / "gateway",
            {"pypi": {"acme/tools": {"layers": ["fake"], "visibility": "public"}}},
            upstreams={"fake": {"type": "pypi", "url": fake.pypi_url}},
            workers=2,
        )
        await asyncio.to_thread(gateway.start)
        path = f"/pypi/acme/tools/files/big/{artifact.sha256}/{artifact.filename}"
        async with aiohttp.ClientSession() as session, session.get(gateway.url + path) as response:
            first = await response.content.readany()
            stopping = asyncio.ensure_future(asyncio.to_thread(gateway.stop))

            rest = await response.content.read()
            await stopping

        assert first + rest == artifact.body
