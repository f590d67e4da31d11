"""What gems that `gem build` has built look like on a public registry: a compact index for the fake upstream."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from tests.fakes.upstream import FaultyUpstream

LONG_AGO = "2024-01-02T03:04:06Z"

Versions = Mapping[str, tuple[Path, str]]  # version → file, published


def serve_gems(fake: FaultyUpstream, gems: Mapping[str, Versions]) -> str:
    """Serve pure Ruby gems without dependencies; returns the address of the registry. Replaces all that was there."""
    index = f"created_at: {LONG_AGO}\n---\n"
    for name, versions in gems.items():
        lines = [
            f"{version} |checksum:{_sha256(file)},ruby:>= 2.7,created_at:{published}"
            for version, (file, published) in versions.items()
        ]
        info = "---\n" + "".join(f"{line}\n" for line in lines)
        _index_file(fake, f"gems-upstream/info/{name}", info)
        md5 = hashlib.md5(info.encode(), usedforsecurity=False).hexdigest()
        index += f"{name} {','.join(versions)} {md5}\n"
        for version, (file, _) in versions.items():
            fake.serve(f"gems-upstream/gems/{name}-{version}.gem", file.read_bytes())
    _index_file(fake, "gems-upstream/versions", index)
    _index_file(fake, "gems-upstream/names", "---\n" + "".join(f"{name}\n" for name in sorted(gems)))
    return f"{fake.url}gems-upstream/"


def _index_file(fake: FaultyUpstream, path: str, text: str) -> None:
    told = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    fake.serve(path, text.encode(), "text/plain; charset=utf-8", {"Repr-Digest": f"sha-256=:{told}:"})


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
