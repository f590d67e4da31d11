"""Taking in a package: the first part of a form, or the plain body, to a temporary file while it is hashed (§6).

What is inside decides id and version; file names and form fields count for nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from adapters.nuget import nupkg
from gateway.errors import Invalid
from gateway.store.blobs import Upload
from gateway.web.form import Data, End, FormReader

if TYPE_CHECKING:
    from gateway.web.call import Call

_FORM_OVERHEAD = 1024**2  # bytes that a form may have beside its package
_ALGORITHMS = ("sha256", "sha512")


class Received(Struct, frozen=True):
    """A package that is as it should be, on disk, not yet published."""

    contents: nupkg.Contents
    upload: Upload
    hashes: dict[str, str]

    @property
    def package(self) -> str:
        """The canonical id."""
        return self.contents.nuspec.id.lower()

    @property
    def version(self) -> str:
        """The canonical version."""
        return self.contents.nuspec.version.key


@asynccontextmanager
async def received(call: "Call") -> AsyncIterator[Received]:
    """The package that is being PUT; raises Invalid, TooLarge or Forbidden."""
    call.publish.require_writer()
    async with call.publish.upload(_ALGORITHMS) as upload:
        await _take(call, upload)
        await upload.finish()
        contents = await asyncio.to_thread(nupkg.inspect, upload.path)
        yield Received(contents, upload, upload.hexes())


async def _take(call: "Call", upload: Upload) -> None:
    limit = call.services.config.server.max_upload_size + _FORM_OVERHEAD
    content_type = call.headers.get("Content-Type", "")
    if not content_type.lower().startswith("multipart/"):
        async for chunk in call.chunks(limit):
            await upload.write(chunk)
        return
    reader, is_first = FormReader(content_type, takes_bare_newlines=True), True
    async for chunk in call.chunks(limit):
        for event in reader.feed(chunk):
            if isinstance(event, Data) and is_first:
                await upload.write(event.body)
            elif isinstance(event, End):
                is_first = False
    reader.close()
    if is_first:
        raise Invalid("the form has no part with a package")


def now_text() -> str:
    """The present, as registrations have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
