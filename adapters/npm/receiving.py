"""Taking in a publish document: the tarball to a temporary file while it arrives, then every check, then a release.

Publishing and staging begin here. Nothing is kept unless the caller says so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from adapters.npm import names, publishing, tarball
from adapters.npm.intake import Scanner
from gateway.errors import Invalid
from gateway.store.blobs import Upload

if TYPE_CHECKING:
    from gateway.web.call import Call

_DOCUMENT_LIMIT = 32 * 1024 * 1024  # bytes beside the tarball: a packument that comes back with a change
_ALGORITHMS = ("sha256", "sha1", "sha512")


class Received(Struct, frozen=True):
    """What a client PUT. `upload` and `tarball_name` are None where it carried no tarball."""

    sent: publishing.Sent
    tarball_name: str | None
    upload: Upload | None


class Checked(Struct, frozen=True):
    """A release that is as it should be. hashes: of the tarball, by algorithm."""

    release: publishing.Release
    sealed: publishing.Sealed
    upload: Upload
    hashes: dict[str, str]


@asynccontextmanager
async def received(call: "Call", package: str) -> AsyncIterator[Received]:
    """The document that is being PUT for `package`; its tarball is on disk, never in memory.

    Raises Invalid, NameMismatch or TooLarge.
    """
    if call.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Invalid("a publish document is not sent compressed")
    limit = call.services.config.server.max_upload_size * 4 // 3 + _DOCUMENT_LIMIT
    scanner = Scanner(_DOCUMENT_LIMIT)
    async with AsyncExitStack() as stack:
        upload: Upload | None = None
        async for chunk in call.chunks(limit):
            for piece in scanner.feed(chunk):
                if upload is None:
                    upload = await stack.enter_async_context(call.publish.upload(_ALGORITHMS))
                await upload.write(piece)
        yield Received(publishing.read_sent(package, scanner.finish()), scanner.tarball_name, upload)


async def checked(call: "Call", package: str, came: Received) -> Checked:
    """The release that was sent, after all checks of npm.md §5; raises what `publishing` and `tarball` raise."""
    names.check_publishable(package)
    if came.tarball_name is None:
        raise Invalid("the document carries no tarball")
    release = publishing.read_release(package, came.sent, came.tarball_name)
    if came.upload is None:
        raise Invalid("the tarball is empty")
    await came.upload.finish()
    contents = await asyncio.to_thread(tarball.inspect, came.upload.path)
    hashes = came.upload.hexes()
    is_strict = bool(call.repository.settings.get("strict", True))
    sealed = publishing.seal(release, contents, hashes, came.upload.size, call.actor.name, is_strict=is_strict)
    return Checked(release, sealed, came.upload, hashes)


def now_text() -> str:
    """The present as npm writes it: `2024-01-02T03:04:05.678Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_recent(moment: str | None, seconds: float) -> bool:
    """Whether a time that `now_text` wrote is at most that long ago."""
    if moment is None:
        return False
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return False
    return (datetime.now(UTC) - then).total_seconds() <= seconds
