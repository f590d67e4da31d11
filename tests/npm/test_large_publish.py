"""A large publish document flows through memory in small pieces (npm.md §19, §20 item 20)."""

import base64
import gzip
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.npm.conftest import Registry

SIZE = 60 * 1024 * 1024
GROWTH = 32 * 1024 * 1024


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def large_tarball(tmp_path: Path) -> Path:
    path = tmp_path / "large.tgz"
    (tmp_path / "ballast").write_bytes(os.urandom(1024 * 1024) * 60)
    manifest = json.dumps({"name": "@acme/large", "version": "1.0.0"}).encode()
    with gzip.open(path, "wb", compresslevel=0) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        archive.add(tmp_path / "ballast", "package/ballast")
        info = tarfile.TarInfo("package/package.json")
        info.size = len(manifest)
        archive.addfile(info, io.BytesIO(manifest))
    return path


def _document(path: Path) -> Iterator[bytes]:
    yield b'{"_attachments": {"@acme/large-1.0.0.tgz": {"data": "'
    with path.open("rb") as file:
        while chunk := file.read(48 * 1024):
            yield base64.b64encode(chunk)
    rest = {"name": "@acme/large", "versions": {"1.0.0": {"name": "@acme/large", "version": "1.0.0"}}}
    yield b'"}}, ' + json.dumps(rest).encode()[1:]


async def test_sixty_mebibytes_do_not_stay_in_memory(registry: Registry, token: str, large_tarball: Path) -> None:
    await registry.publish("@acme/small", "1.0.0", token)
    size = large_tarball.stat().st_size  # noqa: ASYNC240 a file of the test's own
    before = peak = _resident()

    async def body() -> AsyncIterator[bytes]:
        nonlocal peak
        for chunk in _document(large_tarball):
            peak = max(peak, _resident())
            yield chunk

    reply = await registry.gateway.request("PUT", f"{registry.path}@acme%2flarge", token, data=body())
    peak = max(peak, _resident())

    assert reply.status == 201, reply.body
    assert size > SIZE
    assert peak - before < GROWTH
    served = await registry.gateway.request("HEAD", f"{registry.path}@acme/large/-/large-1.0.0.tgz")
    assert int(served.headers["Content-Length"]) == size
