"""Makes a `/versions` of real size: as many gems, versions and bytes as a public registry has, all of them invented.

The measured one had 22 MB in January 2019 (rubygems/bundler, issue 6915); 190,000 names of this generator make as much.
The same call gives the same bytes.
"""

import hashlib
import random

_WORDS = [
    "active",
    "alpha",
    "blue",
    "cache",
    "data",
    "edge",
    "fast",
    "gem",
    "http",
    "index",
    "json",
    "kit",
    "log",
    "meta",
    "net",
    "open",
    "page",
    "queue",
    "rack",
    "simple",
    "time",
]
_HEAD = b"created_at: 2024-01-01T00:00:00Z\n---\n"


def gem_names(count: int) -> list[str]:
    """So many different names."""
    return [f"{_WORDS[n % 21]}-{_WORDS[n // 21 % 21]}_{n:x}" for n in range(count)]


def versions_file(count: int, seed: int = 1) -> bytes:
    """The file for so many gems: a few have hundreds of versions, most a handful, some one for each platform."""
    chance = random.Random(seed)
    lines = [_HEAD]
    for name in gem_names(count):
        labels = _labels(chance)
        lines.append(f"{name} {','.join(labels)} {hashlib.md5(f'{name} {seed}'.encode()).hexdigest()}\n".encode())
    return b"".join(lines)


def _labels(chance: random.Random) -> list[str]:
    """Versions of one gem, oldest first."""
    count = min(400, int(chance.paretovariate(0.9)))
    labels = [f"{n // 40}.{n // 8 % 5}.{n % 8}" for n in range(count)]
    if chance.random() < 0.02:
        labels += [f"{labels[-1]}-{platform}" for platform in ("java", "x86_64-linux", "arm64-darwin")]
    if chance.random() < 0.03:
        labels.append(f"{count // 40 + 1}.0.0.pre1")
    return labels
