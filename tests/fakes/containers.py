"""`ContainerUpstream`: a fake container registry on loopback with a token service, that goes wrong on demand.

    async with ContainerUpstream() as fake:
        fake.push("library/tool", image({"hello": b"hello"}), "1.0", "latest")
        fake.fault(corrupt(), fake.blob_path("library/tool", digest))
        fake.credentials = ("robot", "secret")        # the token service wants these; None: anonymous tokens
        fake.blobs_at(other)                          # blobs are redirected to another host

Faults are those of `FaultyUpstream` and may be put on `manifest_path`, `blob_path` or `/token`.
"""

import base64
import json
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from tests.fakes.faults import redirect
from tests.fakes.images import OCI_INDEX, Image
from tests.fakes.registries import Page
from tests.fakes.upstream import FaultyUpstream, Seen

TOKEN_PATH = "/token"
_SERVICE = "fake.registry"


class ContainerUpstream(FaultyUpstream):
    """See the module. `realm`: where the challenge sends clients, our own token service when empty."""

    def __init__(self, port: int = 0) -> None:
        """`port` 0: any free one."""
        super().__init__(port)
        self.credentials: tuple[str, str] | None = None
        self.challenges = True
        self.realm = ""
        self.expires_in = 300
        self._tags: dict[str, set[str]] = {}
        self.serve("/v2/", b"{}", "application/json")

    def push(self, name: str, image: Image, *tags: str) -> Image:
        """Serve an image with all it needs under its digest and these tags; a tag that was there moves."""
        for one in image.everything:
            self._manifest(name, one.digest, one)
            for digest, blob in one.blobs.items():
                self.serve(self.blob_path(name, digest), blob, headers=_named(digest))
        for tag in tags:
            self._manifest(name, tag, image)
        known = self._tags.setdefault(name, set())
        known.update(tags)
        listed = {"name": name, "tags": sorted(known)}
        self.serve(f"/v2/{name}/tags/list", json.dumps(listed).encode(), "application/json")
        return image

    def attach(self, name: str, subject: str, *referrers: Image) -> None:
        """Serve these as what refers to `subject`."""
        for one in referrers:
            self.push(name, one)
        listed = [one.described(artifactType=one.document.get("artifactType")) for one in referrers]
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
        self.serve(f"/v2/{name}/referrers/{subject}", body, OCI_INDEX)

    def blobs_at(self, other: FaultyUpstream) -> None:
        """Redirect every blob that is here now to another host, which serves it without asking who comes."""
        for path, page in list(self.pages.items()):
            if "/blobs/" in path:
                other.pages[path] = page
                self.fault(redirect(f"{other.url.rstrip('/')}{path}", 307), path)

    def manifest_path(self, name: str, reference: str) -> str:
        return f"/v2/{name}/manifests/{reference}"

    def blob_path(self, name: str, digest: str) -> str:
        return f"/v2/{name}/blobs/{digest}"

    def asked_for(self, part: str) -> list[Seen]:
        """The requests whose path contains this."""
        return [seen for seen in self.seen if part in seen.plain_path]

    def _manifest(self, name: str, reference: str, image: Image) -> None:
        headers = {**_named(image.digest), "ETag": f'"{image.digest}"'}
        self.serve(self.manifest_path(name, reference), image.body, image.media_type, headers)

    def _refusal(self, seen: Seen) -> web.Response | None:
        """401 for who has no token for this name; the token service's own 401 for wrong credentials."""
        path = seen.plain_path
        if path == TOKEN_PATH:
            return self._grant(seen)
        if not self.challenges or not path.startswith("/v2"):
            return None
        name = _name(path)
        if seen.headers.get("authorization") == f"Bearer {_token(name)}":
            return None
        scope = f',scope="repository:{name}:pull"' if name else ""
        realm = self.realm or f"{self.url}token"
        challenge = f'Bearer realm="{realm}",service="{_SERVICE}"{scope}'
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
        return web.Response(
            status=401, headers={"WWW-Authenticate": challenge}, body=body, content_type="application/json"
        )

    def _grant(self, seen: Seen) -> web.Response | None:
        if self.credentials is not None:
            wanted = base64.b64encode(":".join(self.credentials).encode()).decode()
            if seen.headers.get("authorization") != f"Basic {wanted}":
                return web.Response(status=401, text="wrong credentials\n")
        asked = parse_qs(urlsplit(seen.path).query)
        scope = asked.get("scope", [""])[0]
        name = scope.split(":")[1] if scope.startswith("repository:") else ""
        said = {"token": _token(name), "access_token": _token(name), "expires_in": self.expires_in}
        self.pages[TOKEN_PATH] = Page(json.dumps(said).encode(), "application/json")
        return None


def _named(digest: str) -> dict[str, str]:
    return {"Docker-Content-Digest": digest, "Docker-Distribution-Api-Version": "registry/2.0"}


def _name(path: str) -> str:
    """The repository's name in the path of an API call; empty for the root."""
    for part in ("/manifests/", "/blobs/", "/tags/", "/referrers/"):
        before, found, _ = path.rpartition(part)
        if found:
            return before.removeprefix("/v2/")
    return ""


def _token(name: str) -> str:
    return f"pull-{base64.urlsafe_b64encode(name.encode()).decode().rstrip('=')}"
