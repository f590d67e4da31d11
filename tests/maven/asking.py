"""Requests as Maven's clients send them, against a gateway in process."""

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.conftest import Gateway, Reply
from tests.fakes.artifacts import Artifact
from tests.fakes.maven import folder, library, metadata, pom

BASE = "maven/acme/jvm/"
ALGORITHMS = ("md5", "sha1", "sha256", "sha512")


def hex_of(body: bytes, algorithm: str = "sha1") -> str:
    return hashlib.new(algorithm, body, usedforsecurity=False).hexdigest()


@dataclass
class Client:
    """One client of the repository `acme/jvm`. sent: what it did, as `(method, path, status)`."""

    gateway: Gateway
    token: str | None = None
    base: str = BASE
    sent: list[tuple[str, str, int]] = field(default_factory=list)

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.ask("GET", path, **headers)

    async def head(self, path: str, **headers: str) -> Reply:
        return await self.ask("HEAD", path, **headers)

    async def put(self, path: str, body: bytes | str, **headers: str) -> Reply:
        return await self.ask("PUT", path, data=body if isinstance(body, bytes) else body.encode(), **headers)

    async def delete(self, path: str) -> Reply:
        return await self.ask("DELETE", path)

    async def ask(self, method: str, path: str, **more: Any) -> Reply:
        reply = await self.gateway.request(method, self.base + path, self.token, **more)
        self.sent.append((method, path, reply.status))
        return reply

    async def put_with_sums(self, path: str, body: bytes, sums: Iterable[str] = ("sha1", "md5")) -> Reply:
        """A file and its checksums, as every client does; the reply is the file's."""
        reply = await self.put(path, body)
        for algorithm in sums:
            await self.put(f"{path}.{algorithm}", hex_of(body, algorithm))
        return reply

    async def deploy(self, name: str, version: str, artifact: Artifact | None = None) -> Artifact:
        """A release as `mvn deploy` sends it: POM, jar, then metadata that it made up itself."""
        made = artifact or library().build(name, version)
        at = folder(name, version)
        stem = made.filename.removesuffix(".jar")
        await self.put_with_sums(f"{at}{stem}.pom", made.metadata or b"")
        await self.put_with_sums(f"{at}{stem}.jar", made.body)
        await self.get(f"{folder(name)}maven-metadata.xml")
        await self.put_with_sums(f"{folder(name)}maven-metadata.xml", metadata(name, [version]))
        return made

    async def deploy_snapshot(self, name: str, base: str, stamp: str, number: int, *, skip: str = "") -> None:
        """A unique build of `base`-SNAPSHOT; `skip`: an extension that never arrives."""
        version, artifact = f"{base}-SNAPSHOT", name.partition(":")[2]
        at = f"{folder(name, version)}{artifact}-{base}-{stamp}-{number}"
        bodies = {"pom": pom(name, version), "jar": library().build(name, f"{version}-{stamp}").body}
        for extension, body in bodies.items():
            if extension != skip:
                reply = await self.put_with_sums(f"{at}.{extension}", body)
                assert reply.status == 201, reply.body

    async def versions(self, name: str) -> list[str]:
        """What the metadata lists, in its order; nothing where there is none."""
        reply = await self.get(f"{folder(name)}maven-metadata.xml")
        return [] if reply.status == 404 else texts(reply.body, "versioning/versions/version")


def texts(body: bytes, path: str) -> list[str]:
    """The texts of all elements at a path."""
    return [element.text or "" for element in ET.fromstring(body).findall(path)]


def text(body: bytes, path: str) -> str | None:
    """The text of the element at a path, or None."""
    return ET.fromstring(body).findtext(path)
