"""What an adapter makes of a listing, and the page that clients get of it."""

import hashlib

from isal import igzip
from msgspec import Struct

from gateway.model import Page


class Rendered(Struct, frozen=True):
    """What an adapter made of a listing. weak: the ETag shall be weak (a proxy may compress the body).

    etag: with its quotes, where the protocol says what it is made of; it must name body and form. is_ranged: see Page.
    """

    body: bytes
    content_type: str
    weak: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    etag: str = ""
    is_ranged: bool = False


def finish(rendered: Rendered, variant: str) -> Page:
    """The page with its ETag (of body and variant, so that no form revives another) and its compressed body."""
    body = rendered.body
    mark = hashlib.sha256(variant.encode() + b"\0" + body).hexdigest()[:40]
    is_packed = body.startswith(b"\x1f\x8b")
    gzip = igzip.compress(body, compresslevel=1, mtime=0) if len(body) > 1000 and not is_packed else None
    etag = rendered.etag or (f'W/"{mark}"' if rendered.weak else f'"{mark}"')
    return Page(body, rendered.content_type, etag, gzip, rendered.headers, is_ranged=rendered.is_ranged)
