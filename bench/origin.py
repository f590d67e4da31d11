"""The synthetic upstream: PyPI pages with wheels and npm packuments with tarballs, laid out as files for nginx.

Everything is made from counters and a seeded generator, so that two runs serve the same bytes. Nothing here listens.
"""

import base64
import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path

PAGE = "medium"
WHEEL = "medium-1.0.0-py3-none-any.whl"
PACKUMENT = "small"
BIG_PACKUMENT = "huge"
TARBALL = "small-1.0.0.tgz"


@dataclass(frozen=True, slots=True)
class Origin:
    """The synthetic upstream: its folder (pages/, files/, packuments/, tarballs/) and the port nginx serves it on."""

    folder: Path
    port: int

    def build(self) -> None:
        """Write the packages that all cases share: a 12 KB page, 20 KB and 1.3 MB packuments, a wheel, a tarball."""
        for part in ("pages", "files", "packuments", "tarballs"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        wheel = _noise(60_000, 1)
        (self.folder / "files" / WHEEL).write_bytes(wheel)
        others = [(f"medium-1.0.{number}-py3-none-any.whl", _noise(64, 1000 + number)) for number in range(1, 36)]
        for filename, body in others:
            (self.folder / "files" / filename).write_bytes(body)
        self._page(
            PAGE,
            [(WHEEL, hashlib.sha256(wheel).hexdigest(), len(wheel))]
            + [(filename, hashlib.sha256(body).hexdigest(), len(body)) for filename, body in others],
        )
        tarball = _noise(60_000, 2)
        (self.folder / "tarballs" / TARBALL).write_bytes(tarball)
        self._packument(PACKUMENT, 38, tarball)
        self._packument(BIG_PACKUMENT, 2400, tarball)

    def add_file(self, package: str, size: int, seed: int) -> str:
        """A package with one wheel of `size` bytes that no other call has made; returns its filename."""
        filename = f"{package.replace('-', '_')}-1.0.0-py3-none-any.whl"
        block, hasher, left = _noise(4 * 1024**2, seed), hashlib.sha256(), size
        with (self.folder / "files" / filename).open("wb") as file:
            while left:
                part = block[:left]
                file.write(part)
                hasher.update(part)
                left -= len(part)
        self._page(package, [(filename, hasher.hexdigest(), size)])
        return filename

    def remove_file(self, filename: str) -> None:
        """Free the space of a file that is no longer asked for."""
        (self.folder / "files" / filename).unlink(missing_ok=True)

    def _page(self, package: str, files: list[tuple[str, str, int]]) -> None:
        document = {
            "meta": {"api-version": "1.4"},
            "name": package,
            "versions": sorted({filename.split("-")[1] for filename, _, _ in files}),
            "files": [
                {
                    "filename": filename,
                    "url": f"../../files/{filename}",
                    "hashes": {"sha256": sha256},
                    "requires-python": ">=3.9",
                    "size": size,
                    "upload-time": "2024-01-01T00:00:00.000000Z",
                    "yanked": False,
                }
                for filename, sha256, size in files
            ],
        }
        (self.folder / "pages" / f"{package}.json").write_text(json.dumps(document))

    def _packument(self, package: str, count: int, tarball: bytes) -> None:
        base = f"http://127.0.0.1:{self.port}/npm/"
        versions = [f"1.{number // 50}.{number % 50}" for number in range(count)]
        document = {
            "_id": package,
            "_rev": "1-1",
            "name": package,
            "dist-tags": {"latest": versions[-1]},
            "versions": {version: _manifest(base, package, version, tarball) for version in versions},
            "time": {
                "created": "2020-01-01T00:00:00.000Z",
                "modified": "2024-01-01T00:00:00.000Z",
                **dict.fromkeys(versions, "2024-01-01T00:00:00.000Z"),
            },
            "license": "MIT",
            "readme": f"# {package}\n",
        }
        (self.folder / "packuments" / f"{package}.json").write_text(json.dumps(document))


def _manifest(base: str, package: str, version: str, tarball: bytes) -> dict[str, object]:
    sha512 = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    return {
        "name": package,
        "version": version,
        "description": "a package of the benchmark",
        "main": "index.js",
        "license": "MIT",
        "engines": {"node": ">=18"},
        "dependencies": {f"dependency-{number}": f"^{number}.0.0" for number in range(4)},
        "_id": f"{package}@{version}",
        "dist": {
            "tarball": f"{base}{package}/-/{package}-{version}.tgz",
            "shasum": hashlib.sha1(tarball).hexdigest(),
            "integrity": f"sha512-{sha512}",
            "fileCount": 3,
            "unpackedSize": len(tarball),
        },
    }


def _noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)
