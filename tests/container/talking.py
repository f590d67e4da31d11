"""A registry client of the plainest kind, for tests: one method per call of the distribution specification.

It sends what it is told and judges nothing; the tests do that. It authenticates with a token as Bearer, as scripts do.
"""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from multidict import CIMultiDict

from tests.conftest import Gateway, Reply
from tests.fakes.images import Image, digest_of

SHAPES = ("post", "put", "one chunk", "chunks", "last chunk in put", "stream")
_BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Registry:
    """One repository name as one client sees it. name: as in an image reference, without the host."""

    gateway: Gateway
    name: str = "container/acme/app/tool"
    token: str | None = None

    async def call(self, method: str, path: str, data: Any = None, **headers: str) -> Reply:
        """A call below `/v2/<name>/`."""
        return await self.gateway.request(method, f"v2/{self.name}/{path}", self.token, data=data, **headers)

    async def follow(self, method: str, location: str, data: Any = None, **headers: str) -> Reply:
        """A call of an address that an answer gave, which is absolute on this host."""
        assert location.startswith("/"), location
        return await self.gateway.request(method, location, self.token, data=data, **headers)

    # ── blobs ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def blob(self, digest: str, method: str = "GET", **headers: str) -> Reply:
        return await self.call(method, f"blobs/{digest}", **headers)

    async def begin(self) -> Reply:
        """Begin an upload."""
        return await self.call("POST", "blobs/uploads/")

    async def put(self, location: str, digest: str, data: bytes = b"", **headers: str) -> Reply:
        """Finish an upload."""
        mark = "&" if "?" in location else "?"
        return await self.follow("PUT", f"{location}{mark}digest={quote(digest)}", data, Content_Type=_BYTES, **headers)

    async def patch(self, location: str, data: bytes, start: int | None = None) -> Reply:
        """Send a chunk; `start` None: without saying where it belongs."""
        headers = {} if start is None else {"Content_Range": f"{start}-{start + len(data) - 1}"}
        return await self.follow("PATCH", location, data, Content_Type=_BYTES, **headers)

    async def upload(self, body: bytes, shape: str = "put", *, digest: str = "") -> Reply:
        """Upload a blob in one of the shapes that clients use; the answer that ended it. `digest`: a lie, for attacks."""
        digest = digest or digest_of(body)
        if shape == "post":
            path = f"blobs/uploads/?digest={quote(digest)}"
            return await self.call("POST", path, body, Content_Type=_BYTES)
        location = (await self.begin()).headers["Location"]
        if shape == "put":
            return await self.put(location, digest, body)
        if shape == "stream":
            sent = await self.follow("PATCH", location, _stream(body), Content_Type=_BYTES)
            return sent if sent.status != 202 else await self.put(sent.headers["Location"], digest)
        parts = list(chunks(body, 1 if shape == "one chunk" else 3))
        last = parts.pop() if shape == "last chunk in put" else None
        for start, part in parts:
            sent = await self.patch(location, part, start)
            if sent.status != 202:
                return sent
            location = sent.headers["Location"]
        if last is None:
            return await self.put(location, digest)
        start, part = last
        return await self.put(location, digest, part, Content_Range=f"{start}-{start + len(part) - 1}")

    async def mount(self, digest: str, source: str | None = None) -> Reply:
        """Ask for a blob of another name."""
        origin = "" if source is None else f"&from={quote(source)}"
        return await self.call("POST", f"blobs/uploads/?mount={quote(digest)}{origin}")

    # ── manifests ────────────────────────────────────────────────────────────────────────────────────────────────
    async def manifest(self, reference: str, method: str = "GET", **headers: str) -> Reply:
        return await self.call(method, f"manifests/{reference}", **headers)

    async def push_manifest(self, reference: str, body: bytes, media_type: str, *tags: str) -> Reply:
        """Push a manifest's bytes; `tags`: as parameters."""
        query = "&".join(f"tag={tag}" for tag in tags)
        path = f"manifests/{reference}" + (f"?{query}" if query else "")
        return await self.call("PUT", path, io.BytesIO(body), Content_Type=media_type)

    async def push(self, image: Image, tag: str = "") -> Reply:
        """Push an image with all it needs, each manifest by its digest, the whole by `tag` when there is one."""
        for one in image.everything[:-1]:
            await self._push(one, one.digest)
        return await self._push(image, tag or image.digest)

    async def tags(self, query: str = "") -> Reply:
        return await self.call("GET", f"tags/list{query}")

    async def referrers(self, digest: str, query: str = "") -> Reply:
        return await self.call("GET", f"referrers/{digest}{query}")

    async def _push(self, one: Image, reference: str) -> Reply:
        for digest, body in one.blobs.items():
            assert (await self.upload(body, digest=digest)).status == 201
        return await self.push_manifest(reference, one.body, one.media_type)


def chunks(body: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """So many parts of a blob with their offsets."""
    size = max(1, -(-len(body) // count))
    for start in range(0, len(body), size):
        yield start, body[start : start + size]


def codes(reply: Reply) -> list[str]:
    """The error codes in a body of the specification's form."""
    return re.findall(r'"code": ?"([A-Z_]+)"', reply.body.decode())


def lines(reply: Reply, name: str) -> list[str]:
    """Every line of a header that may come several times."""
    return CIMultiDict(reply.headers).getall(name, [])  # a copy: what a reply has is typed as a plain mapping


def challenge(headers: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a Bearer challenge."""
    kind, _, rest = headers["WWW-Authenticate"].partition(" ")
    assert kind == "Bearer"
    return dict(re.findall(r'(\w+)="([^"]*)"', rest))


async def _stream(body: bytes) -> Any:
    """Without a length: sent in chunked transfer encoding."""
    for _, part in chunks(body, 5):
        yield part
