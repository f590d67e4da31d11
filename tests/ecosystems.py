"""What each ecosystem's requests look like, so that one test can say the same of all of them."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.conftest import Gateway, Reply
from tests.fakes.artifacts import Artifact, Recipe, tarball, wheel
from tests.fakes.gems import gem
from tests.fakes.nuget import package
from tests.fakes.upstream import FaultyUpstream


@dataclass(frozen=True)
class Ecosystem:
    """One ecosystem. `listing` and `file` give paths below `/<type>/acme/tools/`."""

    type: str
    spellings: tuple[str, ...]
    recipe: Callable[..., Recipe]
    accept: str
    withdrawn: int = 200

    def serve(self, fake: FaultyUpstream, name: str, versions: dict[str, Recipe]) -> list[Artifact]:
        return getattr(fake, self.type)(name, versions)

    def listing(self, name: str) -> str:
        return f"{self.type}/acme/tools/" + (f"simple/{name}/" if self.type == "pypi" else name.replace("/", "%2f"))

    def file(self, name: str, artifact: Artifact) -> str:
        if self.type == "pypi":
            return f"pypi/acme/tools/files/{name}/{artifact.sha256}/{artifact.filename}"
        return f"npm/acme/tools/{name}/-/{artifact.filename}"

    def upstream_page(self, name: str) -> str:
        return f"/simple/{name}/" if self.type == "pypi" else f"/npm/{name}"

    def upstream_file(self, name: str, artifact: Artifact) -> str:
        return f"/files/{artifact.filename}" if self.type == "pypi" else f"/npm/{name}/-/{artifact.filename}"

    def versions(self, body: bytes) -> set[str]:
        document = json.loads(body)
        return set(document["versions"])

    async def read(self, gateway: Gateway, name: str, token: str | None = None) -> Reply:
        return await gateway.get(self.listing(name), token, Accept=self.accept)

    async def publish(
        self, gateway: Gateway, name: str, version: str, token: str | None, recipe: Recipe | None = None
    ) -> tuple[Reply, Artifact]:
        artifact = (recipe or self.recipe()).build(name, version)
        if self.type == "pypi":
            return await publish_pypi(gateway, name, version, artifact, token), artifact
        return await publish_npm(gateway, name, version, artifact, token), artifact

    async def withdraw(self, gateway: Gateway, name: str, version: str, token: str | None) -> Reply:
        """Delete everything that was published under the name, which is this version."""
        if self.type == "pypi":
            return await gateway.request("DELETE", f"pypi/acme/tools/manage/{name}/{version}", token)
        document = await (await self.read(gateway, name, token)).json()
        return await gateway.request("DELETE", f"npm/acme/tools/{name}/-rev/{document['_rev']}", token)


class _Nuget(Ecosystem):
    """A package is listed by its registration, and lies in the flat container."""

    def listing(self, name: str) -> str:
        return f"nuget/acme/tools/registration-semver2/{name}/index.json"

    def file(self, name: str, artifact: Artifact) -> str:
        return f"nuget/acme/tools/flat/{name}/{_version(name, artifact)}/{artifact.filename}"

    def upstream_page(self, name: str) -> str:
        return f"/nuget/registration/{name}/index.json"

    def upstream_file(self, name: str, artifact: Artifact) -> str:
        return f"/nuget/files/{name}/{_version(name, artifact)}/{artifact.filename}"

    def versions(self, body: bytes) -> set[str]:
        (page,) = json.loads(body)["items"]
        return {leaf["catalogEntry"]["version"] for leaf in page["items"]}

    async def publish(
        self, gateway: Gateway, name: str, version: str, token: str | None, recipe: Recipe | None = None
    ) -> tuple[Reply, Artifact]:
        artifact = (recipe or self.recipe()).build(name, version)
        return await gateway.request("PUT", "nuget/acme/tools/package", token, data=artifact.body), artifact

    async def withdraw(
        self,
        gateway: Gateway,
        name: str,
        version: str,  # noqa: ARG002 the others need it
        token: str | None,
    ) -> Reply:
        """Through the gateway's own address: a client of NuGet only takes a version off the lists."""
        return await gateway.request("DELETE", f"-/api/v1/repositories/nuget/acme/tools/packages/{name}", token)


class _RubyGems(Ecosystem):
    """A gem is listed by a text of one line for each version."""

    def listing(self, name: str) -> str:
        return f"rubygems/acme/tools/info/{name}"

    def file(self, name: str, artifact: Artifact) -> str:  # noqa: ARG002 it is in the file's name
        return f"rubygems/acme/tools/gems/{artifact.filename}"

    def upstream_page(self, name: str) -> str:
        return f"/gem/info/{name}"

    def upstream_file(self, name: str, artifact: Artifact) -> str:  # noqa: ARG002 it is in the file's name
        return f"/gem/gems/{artifact.filename}"

    def versions(self, body: bytes) -> set[str]:
        return {line.split(" ")[0] for line in body.decode().splitlines()[1:]}

    async def publish(
        self, gateway: Gateway, name: str, version: str, token: str | None, recipe: Recipe | None = None
    ) -> tuple[Reply, Artifact]:
        artifact = (recipe or self.recipe()).build(name, version)
        return await gateway.request("POST", "rubygems/acme/tools/api/v1/gems", token, data=artifact.body), artifact

    async def withdraw(self, gateway: Gateway, name: str, version: str, token: str | None) -> Reply:
        form = {"gem_name": name, "version": version}
        return await gateway.request("DELETE", "rubygems/acme/tools/api/v1/gems/yank", token, data=form)


def _version(name: str, artifact: Artifact) -> str:
    return artifact.filename[len(name) + 1 :].removesuffix(".nupkg")


async def publish_pypi(
    gateway: Gateway, name: str, version: str, artifact: Artifact, token: str | None, **fields: Any
) -> Reply:
    """As twine does."""
    form = aiohttp.FormData()
    filetype = "bdist_wheel" if artifact.filename.endswith(".whl") else "sdist"
    told = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": name,
        "version": version,
        "filetype": filetype,
        "pyversion": "py3" if filetype == "bdist_wheel" else "source",
        "sha256_digest": artifact.sha256,
        **fields,
    }
    for key, value in told.items():
        if value is not None:
            form.add_field(key, value)
    form.add_field("content", artifact.body, filename=artifact.filename, content_type="application/octet-stream")
    return await gateway.request("POST", "pypi/acme/tools/legacy/", token, data=form)


def npm_document(name: str, version: str, artifact: Artifact, **changes: Any) -> dict[str, Any]:
    """What npm publish sends."""
    manifest = {
        "name": name,
        "version": version,
        "_id": f"{name}@{version}",
        "dist": {
            "integrity": artifact.integrity,
            "shasum": hashlib.sha1(artifact.body).hexdigest(),
            "tarball": f"http://localhost/{name}/-/{name}-{version}.tgz",
        },
    }
    return {
        "_id": name,
        "name": name,
        "dist-tags": {"latest": version},
        "versions": {version: manifest},
        "access": None,
        "_attachments": {
            f"{name}-{version}.tgz": {
                "content_type": "application/octet-stream",
                "data": base64.b64encode(artifact.body).decode(),
                "length": len(artifact.body),
            }
        },
        **changes,
    }


async def publish_npm(
    gateway: Gateway, name: str, version: str, artifact: Artifact, token: str | None, **changes: Any
) -> Reply:
    """As npm does."""
    document = npm_document(name, version, artifact, **changes)
    return await gateway.request("PUT", f"npm/acme/tools/{name.replace('/', '%2f')}", token, json=document)


PYPI = Ecosystem(
    "pypi",
    ("acme-tool", "Acme_Tool", "ACME.tool", "acme--tool", "acme-._tool"),
    wheel,
    "application/vnd.pypi.simple.v1+json",
)
NPM = Ecosystem("npm", ("acme-tool",), tarball, "application/json")
NUGET = _Nuget("nuget", ("acme-tool", "Acme-Tool", "ACME-TOOL"), package, "application/json", 204)
RUBYGEMS = _RubyGems("rubygems", ("acme-tool", "Acme-Tool", "ACME-TOOL"), gem, "*/*")
ECOSYSTEMS = (PYPI, NPM, NUGET, RUBYGEMS)
