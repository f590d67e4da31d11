"""Documents whose hash an upstream says elsewhere: in the answer's headers, or in a sidecar beside them.

A sidecar that is absent, withheld or says no hash proves nothing and hinders nothing. Bytes that disagree are asked for
once more, since a document may have changed between the two requests; then they are not believed.
"""

import asyncio
import hashlib
from collections.abc import Mapping

from gateway.errors import Blocked, UpstreamCorrupt
from gateway.format import Ask, Document
from gateway.upstream.client import Reply, UpstreamClient
from gateway.upstream.registry import Upstream

_SIDECAR = 4096  # bytes


async def proven(client: UpstreamClient, upstream: Upstream, ask: Ask, reply: Reply, limit: int) -> Reply:
    """The reply, or a later one, whose document is what the upstream says it is; raises UpstreamCorrupt."""
    for is_last in (False, True):
        if reply.document is None or await _agrees(client, upstream, ask, reply.document):
            return reply
        if not is_last:
            reply = await client.document(upstream, ask, None, limit)
    client.distrust(upstream)
    raise UpstreamCorrupt(f"{upstream.name} sent other bytes of {ask.path} than its checksum says")


async def _agrees(client: UpstreamClient, upstream: Upstream, ask: Ask, document: Document) -> bool:
    assert ask.proof is not None
    said = ask.proof.said_in(document.headers)
    if not said:
        try:
            reply = await client.document(upstream, Ask(ask.proof.path, scope=ask.scope), None, _SIDECAR)
        except (Blocked, UpstreamCorrupt):
            return True
        told = None if reply.document is None else ask.proof.read(ask.proof.algorithm, reply.document.body)
        said = {} if told is None else {ask.proof.algorithm: told}
    return await asyncio.to_thread(_has, document.body, said)


def _has(body: bytes, hashes: Mapping[str, str]) -> bool:
    return all(hashlib.new(name, body, usedforsecurity=False).hexdigest() == hex_ for name, hex_ in hashes.items())
