"""A file that may be sent: what use cases hand to the edge, warm or still on its way."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct, field

from gateway.model import HOSTED_LAYER, Digest
from gateway.store.blobs import FileBlobs, OpenBlob
from gateway.store.rows import PackageRow
from gateway.store.spool import Follower

_ETAG_HASHES = ("sha256", "sha512", "sha384", "sha1", "md5")


class OpenFile(Struct, frozen=True):
    """A file that may be sent. `open` gives its verified bytes: a blob, or the follower of a running fetch.

    size: bytes, None while unknown. etag: with quotes, made of the strongest promised hash, or empty.
    digest: of a warm blob, for the fast path; None when cold. store: where the warm blob lies.
    package: the row of the package that a hosted file was found in, for what its facts say.
    """

    filename: str
    size: int | None
    etag: str
    layer: str
    open: Callable[[], Awaitable[OpenBlob | Follower]]
    digest: Digest | None = None
    store: FileBlobs | None = None
    uploaded_at: str | None = None
    is_hosted: bool = False
    is_private: bool = True
    hashes: Mapping[str, str] = field(default_factory=dict)
    package: PackageRow | None = None

    @property
    def freshness(self) -> str:
        """`hit` or `miss`, for the log."""
        return "hit" if self.digest is not None else "miss"


def etag_of(hashes: Mapping[str, str]) -> str:
    """A strong ETag from the strongest promised hash: the same on every node, warm or cold."""
    return next((f'"{a}:{hashes[a]}"' for a in _ETAG_HASHES if a in hashes), "")


def warm_file(
    store: FileBlobs,
    name: str,
    digest: Digest,
    size: int,
    hashes: Mapping[str, str],
    *,
    layer: str = HOSTED_LAYER,
    is_private: bool = True,
) -> OpenFile:
    """The file of that name whose verified bytes are in `store`; `hashes` are the promised ones."""

    async def opened() -> OpenBlob:
        return store.open(digest)

    return OpenFile(
        name,
        size,
        etag_of(hashes),
        layer,
        opened,
        digest,
        store,
        is_hosted=layer == HOSTED_LAYER,
        is_private=is_private,
        hashes=hashes,
    )
