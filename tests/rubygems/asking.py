"""Requests as gem and Bundler send them, and their documents as these clients read them."""

import base64
import gzip
import hashlib
from collections.abc import Mapping
from urllib.parse import urlencode

from adapters.rubygems.marshal_reader import Reader
from tests.conftest import Gateway, Reply
from tests.fakes.artifacts import Artifact, Recipe
from tests.fakes.gems import gem

BASE = "rubygems/acme/tools/"
LISTS = ("specs", "latest_specs", "prerelease_specs")


async def get(gateway: Gateway, path: str, token: str | None = None, **headers: str) -> Reply:
    return await gateway.get(BASE + path, token, **headers)


async def push(
    gateway: Gateway, token: str | None, name: str, version: str, recipe: Recipe | None = None, base: str = BASE
) -> tuple[Reply, Artifact]:
    """As `gem push` does: the gem as the body, the bare key as authorization."""
    artifact = (recipe or gem()).build(name, version)
    return await push_bytes(gateway, token, artifact.body, base), artifact


async def push_bytes(gateway: Gateway, token: str | None, body: bytes, base: str = BASE) -> Reply:
    headers = {"Content_Type": "application/octet-stream"} | ({"Authorization": token} if token else {})
    return await gateway.request("POST", base + "api/v1/gems", data=body, **headers)


async def yank(gateway: Gateway, token: str, name: str, version: str, platform: str = "") -> Reply:
    """As `gem yank` does: a form as the body of a DELETE."""
    form = {"gem_name": name, "version": version} | ({"platform": platform} if platform else {})
    headers = {"Authorization": token, "Content_Type": "application/x-www-form-urlencoded"}
    return await gateway.request("DELETE", BASE + "api/v1/gems/yank", data=urlencode(form).encode(), **headers)


def is_compact(reply: Reply) -> bool:
    """Whether a document of the compact index is as Bundler wants it: every digest true."""
    sha256 = base64.b64encode(hashlib.sha256(reply.body).digest()).decode()
    headers: Mapping[str, str] = reply.headers
    return (
        reply.status == 200
        and headers["ETag"] == f'"{hashlib.md5(reply.body).hexdigest()}"'
        and headers["Repr-Digest"] == f"sha-256=:{sha256}:"
        and headers["Digest"] == f"sha-256={sha256}"
        and headers["Accept-Ranges"] == "bytes"
        and headers["Content-Type"] == "text/plain; charset=utf-8"
        and "Cache-Control" in headers
    )


async def lines(gateway: Gateway, token: str | None = None) -> list[str]:
    """The lines of /versions behind its head."""
    reply = await get(gateway, "versions", token)
    assert is_compact(reply), (reply.status, reply.body[:200])
    return reply.body.decode().split("\n---\n", 1)[1].splitlines()


async def info(gateway: Gateway, name: str, token: str | None = None) -> list[str]:
    reply = await get(gateway, f"info/{name}", token)
    assert is_compact(reply), (reply.status, reply.body[:200])
    return reply.body.decode().splitlines()[1:]


async def specs(gateway: Gateway, which: str = "specs", token: str | None = None) -> list[tuple[str, str, str]]:
    """The rows of a Marshal index, sorted."""
    reply = await get(gateway, f"{which}.4.8.gz", token)
    assert reply.status == 200
    rows = Reader(gzip.decompress(reply.body)).read()
    return sorted((name, version["version"], platform) for name, version, platform in rows)
