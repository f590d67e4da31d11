"""`FaultyUpstream`: a real server on loopback that plays an upstream registry, and goes wrong on demand.

    async with FaultyUpstream() as fake:
        fake.pypi("acme-tool", {"1.0": wheel()})
        fake.npm("acme-tool", {"1.0.0": tarball()})
        fake.maven("com.acme:tool", {"1.0": library()})
        fake.serve("/any/path", b"body", "text/plain")
        fake.fault(slow(rate=1000), "/any/path")
        ...
        assert fake.count("/any/path") == 1

For another process, `python -m tests.fakes.upstream --port N` prints its address as one line and listens to orders
below `/-/control/`: `PUT pages/PATH` (body, content type), `PUT fault` (JSON: a Fault's fields, and `path`), `DELETE
fault`, `GET requests`, `DELETE requests`. `--folder DIR` serves a folder's files, `--demo` a few packages.
"""

import argparse
import asyncio
import hashlib
import json
import ssl
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import web

from gateway.config import UpstreamConfig
from tests.fakes.artifacts import Artifact, Recipe, sdist, tarball, wheel
from tests.fakes.faults import Fault
from tests.fakes.gems import GemRegistry, text_page
from tests.fakes.maven import pages
from tests.fakes.nuget import feed_index, feed_pages
from tests.fakes.registries import Page, normalized, packument, simple_page, simple_root
from tests.fakes.sending import Prepared, send

CONTROL = "/-/control/"
_CREDENTIALS = ("Authorization", "Proxy-Authorization", "Cookie")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived. path: as it came, still percent-encoded, with its query. headers: names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def plain_path(self) -> str:
        """Decoded, without the query: what pages and counts go by."""
        return unquote(self.path.partition("?")[0])

    @property
    def has_credentials(self) -> bool:
        return any(name.lower() in self.headers for name in _CREDENTIALS)


class FaultyUpstream:
    """See the module. The switches below may be changed at any time."""

    def __init__(self, port: int = 0, folder: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        """`port` 0: any free one. `folder`: files that are served where no page is set. `tls`: speak https."""
        self.seen: list[Seen] = []
        self.pages: dict[str, Page] = {}
        self.etags = True
        self.ranges = True
        self.gzip = False
        self.cache_control: str | None = None
        self._port = port
        self._folder = folder
        self._tls = tls
        self._faults: dict[str | None, Fault] = {}
        self._left: dict[str | None, int] = {}
        self._projects: list[str] = []
        self.gems = GemRegistry()
        self._connections: set[object] = set()
        self._came = asyncio.Condition()
        self._runner: web.ServerRunner | None = None

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────
    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; after `stop`, on the same port again."""
        server = web.Server(self._serve, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Be gone: running answers break off, new connections are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ── where ────────────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def port(self) -> int:
        return self._port

    @property
    def authority(self) -> str:
        """`host:port`, as `UpstreamConfig.hosts` has it."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self.authority}/"

    @property
    def pypi_url(self) -> str:
        return f"{self.url}simple/"

    @property
    def npm_url(self) -> str:
        return f"{self.url}npm/"

    @property
    def maven_url(self) -> str:
        return f"{self.url}maven2/"

    @property
    def nuget_url(self) -> str:
        return f"{self.url}nuget/index.json"

    def config(self, kind: str = "pypi", **more: Any) -> UpstreamConfig:
        """The configuration of an upstream of this type that is this server: quick to give up, unless told otherwise."""
        urls = {"pypi": self.pypi_url, "npm": self.npm_url, "maven": self.maven_url, "nuget": self.nuget_url}
        urls["rubygems"] = f"{self.url}gem/"
        url = urls.get(kind, self.url)
        return UpstreamConfig(type=kind, url=url, **{"retries": 0, "connect_timeout": 2.0, "read_timeout": 5.0, **more})

    # ── what ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def serve(
        self,
        path: str,
        body: bytes,
        content_type: str = "application/octet-stream",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Serve `body` at a decoded path."""
        self.pages["/" + path.lstrip("/")] = Page(body, content_type, headers or {})

    def remove(self, path: str) -> None:
        """404 from now on."""
        self.pages.pop("/" + path.lstrip("/"), None)

    def pypi(
        self, name: str, versions: Mapping[str, Recipe | Sequence[Recipe]], *, sidecars: bool = False
    ) -> list[Artifact]:
        """Serve a project: version → wheel(), sdist(), or several. sidecars: with PEP 658 metadata. Replaces it all."""
        built = [
            (version, recipe, recipe.build(name, version))
            for version, recipes in versions.items()
            for recipe in ([recipes] if isinstance(recipes, Recipe) else recipes)
        ]
        self.pages[f"/simple/{normalized(name)}/"] = simple_page(name, built, f"{self.url}files/", sidecars=sidecars)
        for _, _, artifact in built:
            self.serve(f"/files/{artifact.filename}", artifact.body)
            if sidecars and artifact.metadata is not None:
                self.serve(f"/files/{artifact.filename}.metadata", artifact.metadata)
        if name not in self._projects:
            self._projects.append(name)
        self.pages["/simple/"] = simple_root(self._projects)
        return [artifact for _, _, artifact in built]

    def npm(
        self, name: str, versions: Mapping[str, Recipe], *, tags: Mapping[str, str] | None = None
    ) -> list[Artifact]:
        """Serve a package: version → tarball(). tags: dist-tags, `latest` on the last version by default."""
        built = [(version, recipe, recipe.build(name, version)) for version, recipe in versions.items()]
        tags = {"latest": list(versions)[-1]} if tags is None else tags
        self.pages[f"/npm/{name}"] = packument(name, built, tags, self.npm_url)
        for _, _, artifact in built:
            self.serve(f"/npm/{name}/-/{artifact.filename}", artifact.body)
        return [artifact for _, _, artifact in built]

    def maven(self, name: str, versions: Mapping[str, Recipe]) -> list[Artifact]:
        """Serve a package `group:artifact`: version → library(). Replaces its metadata, not files of other versions."""
        built = [(version, recipe.build(name, version)) for version, recipe in versions.items()]
        self.pages.update({f"/maven2/{path}": page for path, page in pages(name, built)})
        return [artifact for _, artifact in built]

    def nuget(self, name: str, versions: Mapping[str, Recipe], *, promises: str = "leaf") -> list[Artifact]:
        """Serve a package: version → package(). promises: where the feed says its hash, see `feed_pages`."""
        base = f"{self.url}nuget/"
        self.serve("/nuget/index.json", feed_index(base), "application/json")
        built = [recipe.build(name, version) for version, recipe in versions.items()]
        for path, body in feed_pages(name, built, base, promises=promises).items():
            self.serve(f"/nuget/{path}", body, "application/json" if path.endswith(".json") else "binary/octet-stream")
        return built

    def rubygems(self, name: str, versions: Mapping[str, Recipe | Sequence[Recipe]]) -> list[Artifact]:
        """Serve a gem below `/gem/`: version → gem(), or one for each platform. Replaces it all."""
        built = [
            recipe.build(name, version)
            for version, recipes in versions.items()
            for recipe in ([recipes] if isinstance(recipes, Recipe) else recipes)
        ]
        self.gems.put(name, built)
        self.pages[f"/gem/info/{name}"] = text_page(self.gems.info(name))
        self.pages["/gem/versions"] = text_page(self.gems.versions)
        self.pages["/gem/names"] = text_page(self.gems.names())
        for artifact in built:
            self.serve(f"/gem/gems/{artifact.filename}", artifact.body)
        return built

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────
    def fault(self, fault: Fault, path: str | None = None) -> None:
        """Go wrong at this path, or everywhere; a path's own fault comes first. `times`: only so often."""
        self._faults[path] = fault
        self._left.pop(path, None)
        if fault.times is not None:
            self._left[path] = fault.times

    def heal(self, path: str | None = None) -> None:
        """End the fault at this path; None: all of them."""
        if path is None:
            self._faults.clear()
        else:
            self._faults.pop(path, None)

    # ── what came ────────────────────────────────────────────────────────────────────────────────────────────────
    def count(self, path: str | None = None, method: str | None = None) -> int:
        """How many requests came, for a decoded path without query, or in all."""
        return sum(
            1 for seen in self.seen if path in {None, seen.plain_path} and (method is None or seen.method == method)
        )

    @property
    def counts(self) -> Counter[str]:
        """Requests per decoded path."""
        return Counter(seen.plain_path for seen in self.seen)

    async def wait_for(self, count: int = 1) -> None:
        """Return once so many requests came since the last `forget`."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.seen) >= count)

    @property
    def connections(self) -> int:
        """Over how many connections requests came."""
        return len(self._connections)

    @property
    def got_credentials(self) -> bool:
        """Whether any request carried some."""
        return any(seen.has_credentials for seen in self.seen)

    def forget(self) -> None:
        """Start counting anew."""
        self.seen.clear()

    # ── serving ──────────────────────────────────────────────────────────────────────────────────────────────────
    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self._connections.add(request.protocol)
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(request.method, request.raw_path, headers, body)
        if seen.plain_path.startswith(CONTROL):
            return self._control(seen, request.content_type)
        self.seen.append(seen)
        async with self._came:
            self._came.notify_all()
        if (refusal := self._refusal(seen)) is not None and not self._is_gone(seen.plain_path):
            return refusal
        fault = self._fault_for(seen.plain_path)
        page = self._page(seen.plain_path)
        if fault is not None and fault.kind == "answer":
            return web.Response(status=fault.status, headers=fault.headers, body=f"{fault.status}\n".encode())
        if page is None and (fault is None or fault.kind in {"slow", "corrupt"}):
            return web.Response(status=404, text="not found\n")
        return await send(request, self._prepared(seen, page or Page(b"x" * 1000)), fault)

    def _refusal(self, seen: Seen) -> web.Response | None:  # noqa: ARG002 — for registries that ask who comes
        """What is answered instead of the page to who may not have it; None: nothing."""
        return None

    def _is_gone(self, path: str) -> bool:
        """Whether this path answers nobody, whoever comes: a refusal would be one more answer than there is."""
        fault = self._faults.get(path, self._faults.get(None))
        return fault is not None and fault.kind in {"down", "answer"} and fault.status not in {301, 302, 303, 307, 308}

    def _fault_for(self, path: str) -> Fault | None:
        key = path if path in self._faults else None
        fault = self._faults.get(key)
        if fault is None or fault.times is None:
            return fault
        self._left[key] -= 1
        return fault if self._left[key] >= 0 else None

    def _page(self, path: str) -> Page | None:
        if path in self.pages:
            return self.pages[path]
        if self._folder is not None and ".." not in path.split("/"):
            file = self._folder / path.lstrip("/")
            if file.is_file():
                return Page(file.read_bytes())
        return None

    def _prepared(self, seen: Seen, page: Page) -> Prepared:
        content_type, body = page.chosen(seen.headers.get("accept", ""))
        headers = {"Content-Type": content_type, **page.headers}
        if self.cache_control is not None:
            headers.setdefault("Cache-Control", self.cache_control)
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if self.etags:
            headers.setdefault("ETag", etag)
        prepared = Prepared(200, headers, body)
        if "ETag" in headers and headers["ETag"] in seen.headers.get("if-none-match", ""):
            return replace(prepared, status=304, body=b"")
        if self.ranges and "range" in seen.headers:
            return prepared.ranged(seen.headers["range"])
        if self.gzip and "gzip" in seen.headers.get("accept-encoding", ""):
            return prepared.gzipped()
        return prepared

    def _control(self, seen: Seen, content_type: str) -> web.Response:
        order = (seen.method, seen.plain_path.removeprefix(CONTROL))
        if order[0] == "PUT" and order[1].startswith("pages/"):
            self.serve(order[1].removeprefix("pages/"), seen.body, content_type)
        elif order == ("PUT", "fault"):
            value = json.loads(seen.body)
            self.fault(path=value.pop("path", None), fault=Fault.from_json(value))
        elif order == ("DELETE", "fault"):
            self.heal()
        elif order == ("GET", "requests"):
            return web.json_response(
                [{"method": s.method, "path": s.path, "headers": dict(s.headers)} for s in self.seen]
            )
        elif order == ("DELETE", "requests"):
            self.forget()
        else:
            return web.Response(status=404, text="no such order\n")
        return web.Response(status=204)


async def run(port: int, folder: Path | None, *, demo: bool) -> None:
    """Serve until cancelled; prints the address as one line once it listens."""
    async with FaultyUpstream(port, folder) as fake:
        if demo:
            fake.pypi("acme-tool", {"1.0": [wheel(), sdist()], "1.1": wheel(requires_python=">=3.8")}, sidecars=True)
            fake.npm("acme-tool", {"1.0.0": tarball(), "1.1.0": tarball()})
            fake.npm("@acme/tool", {"1.0.0": tarball(dependencies={"acme-tool": "^1.0.0"})})
        print(fake.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.upstream")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--demo", action="store_true")
    options = parser.parse_args()
    try:
        asyncio.run(run(options.port, options.folder, demo=options.demo))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
