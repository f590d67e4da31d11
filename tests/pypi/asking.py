"""Requests as Python's clients send them, against a gateway in process."""

import hashlib
import io
import json as json_
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from yarl import URL

from tests.conftest import Gateway
from tests.fakes.artifacts import Artifact

BASE = "pypi/acme/tools/"
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
JSON = "application/vnd.pypi.simple.v1+json"
UV_PUBLISH = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"
BOUNDARY = "b0undary"

Field = tuple[str, str | bytes] | tuple[str, str | bytes, str]


@dataclass(frozen=True)
class Reply:
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json_.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """The files of a JSON simple page, by name."""
        return {file["filename"]: file for file in self.json["files"]}


async def ask(
    gateway: Gateway,
    method: str,
    path: str,
    token: str | None = None,
    *,
    data: Any = None,
    json: Any = None,
    **headers: str,
) -> Reply:
    """One request below `/pypi/acme/tools/`; a path with a leading slash is below the host."""
    url = gateway.url + (path[1:] if path.startswith("/") else BASE + path)
    sent = {"Accept-Encoding": "identity"} | {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    async with gateway.session.request(
        method, URL(url, encoded=True), headers=sent, data=data, json=json, allow_redirects=False
    ) as response:
        return Reply(response.status, response.reason or "", response.headers.copy(), await response.read())


async def get(gateway: Gateway, path: str, token: str | None = None, **headers: str) -> Reply:
    return await ask(gateway, "GET", path, token, **headers)


async def page(gateway: Gateway, name: str, token: str | None = None) -> Reply:
    """The JSON simple page, as pip asks for it."""
    return await get(gateway, f"simple/{name}/", token, Accept=PIP)


def fields_of(artifact: Artifact, name: str, version: str, /, **changes: str | None) -> list[Field]:
    """What twine sends, `content` last. A change to None leaves a field out."""
    is_wheel = artifact.filename.endswith(".whl")
    told: dict[str, str | None] = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel" if is_wheel else "sdist",
        "pyversion": "py3" if is_wheel else "source",
        "sha256_digest": artifact.sha256,
        "blake2_256_digest": hashlib.blake2b(artifact.body, digest_size=32).hexdigest(),
        **changes,
    }
    fields: list[Field] = [(key, value) for key, value in told.items() if value is not None]
    return [
        *fields,
        ("classifiers", "A :: B"),
        ("classifiers", "C :: D"),
        ("content", artifact.body, artifact.filename),
    ]


def form(fields: Iterable[Field]) -> bytes:
    """A multipart body; a third element is a file name."""
    out = b""
    for key, value, *filename in fields:
        named = f'; filename="{filename[0]}"' if filename else ""
        body = value.encode() if isinstance(value, str) else value
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"{named}\r\n\r\n'.encode() + body + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


async def send(
    gateway: Gateway, fields: Iterable[Field], token: str | None, *, path: str = "legacy/", **headers: str
) -> Reply:
    """POST a form."""
    headers = {"Content_Type": f"multipart/form-data; boundary={BOUNDARY}", **headers}
    return await ask(gateway, "POST", path, token, data=io.BytesIO(form(fields)), **headers)


async def publish(
    gateway: Gateway, artifact: Artifact, name: str, version: str, token: str | None, **changes: str | None
) -> Reply:
    """Upload as twine does."""
    return await send(gateway, fields_of(artifact, name, version, **changes), token)
