"""A hundred clients of one cold file: one download, right bytes for everybody, bounded memory."""

import asyncio
import hashlib
from pathlib import Path

import aiohttp

from tests.clients.gateway import Gateway
from tests.fakes.artifacts import wheel
from tests.fakes.upstream import FaultyUpstream

SIZE = 200 * 1024 * 1024
CLIENTS = 100


def resident(pid: int) -> int:
    """Bytes of anonymous memory of a process and its children: pages of the page cache are not the server's."""
    total = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(folder.name) == pid or int(stat[1]) == pid:
                status = (folder / "status").read_text()
                total += int(status.split("VmRSS:")[1].split()[0]) * 1024
        except (OSError, IndexError):
            continue
    return total


async def test_a_hundred_clients_of_one_cold_file_make_one_download(tmp_path: Path) -> None:
    async with FaultyUpstream() as fake:
        (artifact,) = fake.pypi("big", {"1.0": wheel(size=SIZE)})
        gateway = Gateway(
            tmp_path / "gateway",
            {"pypi": {"acme/tools": {"layers": ["fake"], "visibility": "public"}}},
            upstreams={"fake": {"type": "pypi", "url": fake.pypi_url}},
            workers=2,
        )
        await asyncio.to_thread(gateway.start)
        try:
            before = peak = resident(gateway.pid)
            path = f"/pypi/acme/tools/files/big/{artifact.sha256}/{artifact.filename}"
            connector = aiohttp.TCPConnector(limit=CLIENTS)
            async with aiohttp.ClientSession(connector=connector, read_bufsize=2**16) as session:

                async def download() -> str:
                    hasher = hashlib.sha256()
                    async with session.get(gateway.url + path) as response:
                        assert response.status == 200
                        async for chunk in response.content.iter_any():
                            hasher.update(chunk)
                    return hasher.hexdigest()

                tasks = [asyncio.ensure_future(download()) for _ in range(CLIENTS)]
                while not all(task.done() for task in tasks):
                    peak = max(peak, await asyncio.to_thread(resident, gateway.pid))
                    await asyncio.wait(tasks, timeout=0.2)

                assert {task.result() for task in tasks} == {artifact.sha256}
            assert fake.count(f"/files/{artifact.filename}") == 1
            assert peak - before < 100 * 1024 * 1024
        finally:
            await asyncio.to_thread(gateway.stop)
