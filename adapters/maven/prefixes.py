"""`.meta/prefixes.txt` of our own: the folders below which a repository has, or may get, anything.

Maven's resolver reads it once a day and asks for nothing else (Maven resolver, "Remote Repository Filtering"), so it is
for repositories without upstreams only, and only where `prefixes: true` is set: a group that is published first after
it was read is not found until the next day, unless it is reserved.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from adapters.maven import metadata, names
from gateway.errors import FileUnknown
from gateway.model import HOSTED_LAYER, Scope

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

PATH = ".meta/prefixes.txt"
_HEAD = "## repository-prefixes/2.0"
_SEGMENTS = 2
_MOST = 100_000  # that a resolver takes


async def file(call: "Call", path: str) -> "Answer":
    """The file, or a checksum of it; absent unless it was asked for, and would be the whole truth."""
    call.pull.require(Scope.READ)
    checksum = path.removeprefix(PATH).removeprefix(".")
    repository = call.repository
    if repository.settings.get("prefixes") is not True or repository.layers != (HOSTED_LAYER,):
        raise FileUnknown("this repository says nothing of its prefixes")
    body = render(await call.pull.names(), repository.reserve)
    if body is None:
        raise FileUnknown("this repository may have anything, or too much to be named by prefixes")
    text = metadata.checksums(body)[checksum] if checksum else body.decode()
    headers = () if checksum else metadata.checksum_headers(metadata.checksums(body).items())
    return call.text(text, headers=(*headers, ("Cache-Control", "private, no-cache")))


def render(packages: Iterable[str], reserved: Iterable[str]) -> bytes | None:
    """The file for these names and patterns; None where there are none, or they cannot be told by prefixes."""
    found = {_prefix(package) for package in packages} | {_claimed(pattern) for pattern in reserved}
    if not found or "" in found or len(found) > _MOST:
        return None
    return "".join(f"{line}\n" for line in (_HEAD, *sorted(found))).encode()


def _prefix(package: str) -> str:
    segments = names.split(package)[0].split(".")[:_SEGMENTS]
    return "".join(f"/{segment}" for segment in segments)


def _claimed(pattern: str) -> str:
    """The folder that all names of a pattern share; empty for none."""
    literal = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    if literal != pattern and ":" not in literal:  # what stands before a wildcard may be half a segment
        literal = literal.rpartition(".")[0]
    return _prefix(literal) if literal else ""
