"""Taking in symbol packages, and serving their PDBs to debuggers (nuget.md §6)."""

import asyncio
import zipfile
import zlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from adapters.nuget import names, nupkg, symbols
from adapters.nuget.addresses import routes
from adapters.nuget.receiving import Received, now_text, received
from gateway.errors import FileUnknown, Invalid, VersionUnknown
from gateway.model import Scope
from gateway.publish import NewFile

if TYPE_CHECKING:
    from gateway.store.blobs import Upload
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_CHUNK = 256 * 1024
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError)


async def push(call: "Call") -> "Answer":
    """PUT symbolpackage: publish the PDBs of a package that is published already; a later push replaces them."""
    async with received(call) as package, AsyncExitStack() as stack:
        call.package = package.package
        if "symbolspackage" not in package.contents.nuspec.types:
            raise Invalid("this is no symbol package: its nuspec has no package type SymbolsPackage")
        found = symbols.pdbs(package.contents.members)
        hosted = await call.publish.begin(package.package)
        if hosted is None or hosted.find(names.nupkg(package.package, package.version)) is None:
            message = f"{package.package} {package.version} is not published here: push the package first"
            raise VersionUnknown(message, refused="symbols")
        files = [await _file(call, package, name, stack) for name in found]
        await call.publish.commit(package.package, files)
    return call.text("", 201)


async def serve(call: "Call") -> "Answer":
    """GET symbols/FILE/KEY/FILE: a PDB by the key that an executable names (Simple Symbol Query Protocol)."""
    prefix = symbols.asked(call.path["file"], call.path["key"], call.path["again"])
    found = await call.pull.hosted_files(prefix)
    if not found:
        raise FileUnknown("no symbols have this key")
    call.package, filename = found[-1]
    return call.file(await call.pull.file(call.package, filename))


async def _file(call: "Call", package: Received, name: str, stack: AsyncExitStack) -> NewFile:
    """One PDB as a file of the package's version."""
    upload = await stack.enter_async_context(call.publish.upload())
    await _inflate(package.upload.path, name, upload)
    digest = await upload.finish()
    guid = symbols.guid_of(await asyncio.to_thread(_head, upload.path))
    filename = symbols.filename(name, guid, digest.hex)
    facts = {"symbols": name.rpartition("/")[2], "guid": guid}
    return NewFile(filename, package.version, upload, upload.hexes(), now_text(), facts)


async def _inflate(path: Path, name: str, upload: "Upload") -> None:
    """Write one member of an archive that was inspected; raises Invalid for one that inflates beyond all measure."""

    def opened() -> tuple[zipfile.ZipFile, "BinaryIO", int]:
        archive = zipfile.ZipFile(path)
        member = next(one for one in archive.infolist() if nupkg.client_name(one.filename) == name)
        return archive, archive.open(member), member.compress_size  # type: ignore[return-value]  # typeshed: IO[bytes]

    try:
        archive, stream, packed = await asyncio.to_thread(opened)
        with archive, stream:
            while chunk := await asyncio.to_thread(stream.read, _CHUNK):
                await upload.write(chunk)
                nupkg.check_ratio(name, upload.size, packed)
    except _BROKEN as error:
        raise Invalid(f"the package is not a readable zip archive: {str(error)[:100]}") from error


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(symbols.HEAD)


ROUTES = (
    *routes("PUT", "symbolpackage", push, Scope.WRITE),
    *routes("PUT", "symbolpackage/", push, Scope.WRITE),
    *routes("GET", "symbols/{file}/{key}/{again}", serve),
)
