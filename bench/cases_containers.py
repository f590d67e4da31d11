"""Container images beside Debian's docker-registry on the same CPU, both warm: manifests, layers, pushes, a cold crowd.

The goals: 3 times its manifest requests a second; its throughput for a layer of 100 MB at no more CPU; 0.8 of its
throughput for a push; and ten clients that want one cold layer of 500 MB through a line of 50 MB a second are done five
times sooner, since they share one request where it makes one for each of them.
"""

import hashlib
import json
import random
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urljoin
from urllib.response import addinfourl

from bench import servers
from bench.arena import Arena, get
from bench.load import Flow, Rate, Target, download, flow, interleaved, middle, rate, upload
from bench.measure import CLIENT_CPU, SERVER_CPU
from bench.report import Check, Outcome
from bench.uplink import NAME
from tests.clients.daemons import DebianRegistry
from tests.clients.gateway import WRITE, Gateway, fetch, free_port

PRODUCT, PEER = "product", "docker-registry"
_PINNED = ("taskset", "-c", SERVER_CPU)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = 100_000_000
_CROWD, _CROWD_SIZE, _CROWD_RATE = 10, 500_000_000, 50_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """One name in one registry: where its API calls begin (`…/v2/<name>/`), and who asks."""

    server: str
    pid: int
    base: str
    headers: Mapping[str, str]

    def target(self, path: str) -> Target:
        """A read; the peer has no manifest for who does not name its type."""
        return Target(self.server, self.pid, self.base + path, {**self.headers, "Accept": _MANIFEST})

    def begin_upload(self) -> str:
        """The address of a new upload."""
        with self._send("POST", "blobs/uploads/", b"") as response:
            return urljoin(self.base, str(response.headers["Location"]))

    def push_blob(self, body: bytes) -> str:
        """Its digest."""
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        with self._send("PUT", _with_digest(self.begin_upload(), digest), body, "application/octet-stream"):
            return digest

    def push_image(self, layer: bytes) -> tuple[str, str]:
        """The digests of a manifest and of its only layer; the tag is `1`."""
        config, digest = self.push_blob(b"{}"), self.push_blob(layer)
        descriptors = [
            {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(layer)},
        ]
        document = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
        with self._send("PUT", "manifests/1", json.dumps(document).encode(), _MANIFEST) as response:
            return response.headers["Docker-Content-Digest"], digest

    def _send(self, method: str, path: str, body: bytes, content_type: str = "") -> addinfourl:
        request = urllib.request.Request(urljoin(self.base, path), body, dict(self.headers), method=method)
        if content_type:
            request.add_header("Content-Type", content_type)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        response: addinfourl = opener.open(request, timeout=120)
        return response


def manifest(arena: Arena, outcome: Outcome) -> None:
    """A manifest by its tag."""
    with _both(arena, "manifest") as places:
        for place in places:
            place.push_image(b"layer")
        targets = [place.target("manifests/1") for place in places]
        for target in targets:
            get(target)
            rate(target, 16, 1)
        measured = interleaved(targets, arena.rounds, partial(rate, connections=16, seconds=arena.seconds), arena.say)
    rates = {server: _middle_rate(one) for server, one in measured.items()}
    for server, (per_second, cpu) in rates.items():
        outcome.median(f"{server}, c16", f"{per_second:,.0f} req/s, {cpu:.4f} CPU-s per 1,000")
    outcome.checks.append(Check(f"req/s ÷ {PEER}, c16", rates[PRODUCT][0] / rates[PEER][0], 3.0))


def layer(arena: Arena, outcome: Outcome) -> None:
    """A layer of 100 MB, four connections."""
    body = random.Random(11).randbytes(_LAYER)
    with _both(arena, "layer") as places:
        targets = [place.target(f"blobs/{place.push_image(body)[1]}") for place in places]
        for target in targets:
            download(target, 1, 2)
        measured = interleaved(targets, arena.rounds, lambda one: flow(one, 4, 12), arena.say)
    ours, theirs = _medians(outcome, measured, "layer of 100 MB, c4")
    outcome.checks.append(Check(f"GB/s ÷ {PEER}, c4", ours.speed / theirs.speed, 1.0))
    outcome.checks.append(Check(f"CPU per GB ÷ {PEER}, c4", ours.cpu / theirs.cpu, 1.0, at_least=False))


def push(arena: Arena, outcome: Outcome) -> None:
    """A layer of 100 MB that is new, in one PUT."""
    flows: dict[str, list[Flow]] = {PRODUCT: [], PEER: []}
    with _both(arena, "push") as places:
        for number in range(arena.rounds + 1):  # the first is a warm-up
            body = random.Random(100 + number).randbytes(_LAYER)
            file = arena.folder / "layer"
            file.write_bytes(body)
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            for place in places:
                target = Target(place.server, place.pid, _with_digest(place.begin_upload(), digest), place.headers)
                arena.warm_memory(3 * _LAYER)
                one = upload(target, "PUT", file)
                if number:
                    flows[place.server].append(one)
                arena.say(f"  round {number} {place.server}: {one}")
            file.unlink()
    ours, theirs = _medians(outcome, flows, "push of 100 MB")
    outcome.checks.append(Check(f"push: GB/s ÷ {PEER}", ours.speed / theirs.speed, 0.8))


def crowd(arena: Arena, outcome: Outcome) -> None:
    """Ten clients at once on one cold layer of 500 MB through a line of 50 MB/s; one run each."""
    port = free_port()
    sized = ["--port", str(port), "--size", str(_CROWD_SIZE), "--rate", str(_CROWD_RATE)]
    command = [sys.executable, "-m", "bench.uplink", *sized]
    seconds: dict[str, float] = {}
    with ExitStack() as stack:
        root = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        folder = arena.folder / "uplink"
        far = stack.enter_context(
            servers.start("uplink", command, folder, port, probe="/asked", cpu=CLIENT_CPU, environment=root)
        )
        digest = (folder / "uplink.log").read_text().split()[0]
        for place in (_mirror(arena, stack, far.url), _peer_mirror(arena, stack, far.url)):
            get(place.target("manifests/1"))
            before = _asked(far.url)
            one = download(place.target(f"blobs/{digest}"), _CROWD, _CROWD)
            asked = _asked(far.url) - before
            seconds[place.server] = one.seconds
            outcome.median(f"{place.server}, ten cold clients", f"{one.seconds:.1f} s, {asked} upstream requests")
            arena.say(f"  {place.server}: {one}, {asked} upstream requests")
            if place.server == PRODUCT:
                outcome.checks.append(Check("upstream requests", asked, 1, at_least=False, unit=""))
    outcome.checks.append(Check(f"sooner done than {PEER}", seconds[PEER] / seconds[PRODUCT], 5.0))


@contextmanager
def _both(arena: Arena, name: str) -> Iterator[list[Place]]:
    """The product and its peer, each with an empty hosted repository."""
    repositories = {"container": {"bench/images": {"layers": ["hosted"]}}}
    folder = arena.folder / f"{name}-product"
    with (
        Gateway(folder, repositories, prefix=_PINNED) as gateway,
        DebianRegistry(arena.folder / f"{name}-registry", prefix=_PINNED) as registry,
    ):
        token = {"Authorization": f"Bearer {gateway.token('bench', WRITE)}"}
        ours = Place(PRODUCT, gateway.pid, f"{gateway.url}/v2/container/bench/images/one/", token)
        yield [ours, Place(PEER, registry.pid, f"{registry.url}v2/one/", {})]


def _mirror(arena: Arena, stack: ExitStack, upstream: str) -> Place:
    gateway = stack.enter_context(
        Gateway(
            arena.folder / "crowd-product",
            {"container": {"bench/mirror": {"layers": ["far"], "visibility": "public"}}},
            upstreams={"far": {"type": "container", "url": f"{upstream}/"}},
            prefix=_PINNED,
        )
    )
    token = {"Authorization": f"Bearer {gateway.token('bench', WRITE)}"}
    return Place(PRODUCT, gateway.pid, f"{gateway.url}/v2/container/bench/mirror/{NAME}/", token)


def _peer_mirror(arena: Arena, stack: ExitStack, upstream: str) -> Place:
    folder = arena.folder / "crowd-registry"
    registry = stack.enter_context(DebianRegistry(folder, proxy_of=upstream, prefix=_PINNED))
    return Place(PEER, registry.pid, f"{registry.url}v2/{NAME}/", {})


def _asked(uplink: str) -> int:
    return int(json.loads(fetch(f"{uplink}/asked")[1])["asked"])


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def _middle_rate(rates: list[Rate]) -> tuple[float, float]:
    return middle([one.per_second for one in rates]), middle([one.cpu for one in rates])


def _medians(outcome: Outcome, flows: Mapping[str, list[Flow]], what: str) -> tuple[Flow, Flow]:
    """The medians of the product and of its peer."""
    names = ("speed", "cpu", "first", "seconds", "other")
    found = {
        server: Flow(*(middle([getattr(one, name) for one in measured]) for name in names))
        for server, measured in flows.items()
    }
    for server, one in found.items():
        outcome.median(f"{server}, {what}", f"{one.speed:.2f} GB/s, {one.cpu:.2f} CPU-s per GB")
    return found[PRODUCT], found[PEER]
