"""A container registry behind a thin line, run as a process of its own: all its clients together share one rate.

    python -m bench.uplink --port 5000 --size 500000000 --rate 50000000

It serves one image, `bench/big:1`, whose only layer has `size` bytes of noise, and prints the layer's digest as one
line once it listens. `GET /asked` tells how often the layer was asked for. Loopback only.
"""

import argparse
import asyncio
import hashlib
import json
import random
import sys
import time
from collections.abc import Iterator

from aiohttp import web

NAME = "bench/big"
_STEP = 1 << 18
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Line:
    """A line that carries so many bytes a second, whoever they are for."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free_at = 0.0

    async def carry(self, size: int) -> None:
        """Wait until so many bytes have gone through."""
        self._free_at = max(self._free_at, time.monotonic()) + size / self._rate
        await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))


class Uplink:
    """The registry. Its layer is one block of noise over and over, so that nobody has to hold it."""

    def __init__(self, size: int, rate: int) -> None:
        self._line = Line(rate)
        self._size = size
        self._block = random.Random(7).randbytes(_STEP)
        self.asked = 0
        hasher = hashlib.sha256()
        for part in self._parts(0):
            hasher.update(part)
        self.layer = f"sha256:{hasher.hexdigest()}"
        self._small = {f"sha256:{hashlib.sha256(b'{}').hexdigest()}": b"{}"}
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": next(iter(self._small)),
                    "size": 2,
                },
                "layers": [{"mediaType": "application/octet-stream", "digest": self.layer, "size": size}],
            }
        ).encode()

    def app(self) -> web.Application:
        """Its routes; every request to the registry itself is anonymous."""
        app = web.Application()
        app.router.add_get("/asked", self._count)
        app.router.add_get("/v2/", self._ping)
        app.router.add_get(f"/v2/{NAME}/manifests/{{reference}}", self._send_manifest)
        app.router.add_get(f"/v2/{NAME}/blobs/{{digest}}", self._send_blob)
        return app

    def _parts(self, start: int) -> Iterator[bytes]:
        at = start
        while at < self._size:
            offset = at % _STEP
            part = self._block[offset : offset + self._size - at]
            yield part
            at += len(part)

    async def _count(self, _: web.Request) -> web.Response:
        return web.json_response({"asked": self.asked})

    async def _ping(self, _: web.Request) -> web.Response:
        return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    async def _send_manifest(self, _: web.Request) -> web.Response:
        digest = f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"
        headers = {"Docker-Content-Digest": digest, "Content-Type": _MANIFEST}
        return web.Response(body=self.manifest, headers=headers)

    async def _send_blob(self, request: web.Request) -> web.StreamResponse:
        digest = request.match_info["digest"]
        if digest in self._small:
            return web.Response(body=self._small[digest], headers={"Docker-Content-Digest": digest})
        if digest != self.layer:
            return web.Response(status=404)
        response = web.StreamResponse(headers={"Docker-Content-Digest": digest})
        response.content_type = "application/octet-stream"
        response.content_length = self._size
        await response.prepare(request)
        if request.method == "GET":
            self.asked += 1
            for part in self._parts(0):
                await self._line.carry(len(part))
                await response.write(part)
        return response


async def run(port: int, size: int, rate: int) -> None:
    """Serve until cancelled."""
    uplink = Uplink(size, rate)
    runner = web.AppRunner(uplink.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(uplink.layer, flush=True)
    await asyncio.Event().wait()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.uplink")
    for name in ("port", "size", "rate"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args(arguments)
    try:
        asyncio.run(run(options.port, options.size, options.rate))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
