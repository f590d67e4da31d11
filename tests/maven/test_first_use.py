"""A release whose upstream vouches for it by SHA-1 alone stays what it was when it first came; a snapshot may change."""

import hashlib

import pytest

from gateway.housekeeping import Housekeeping
from tests.fakes.upstream import FaultyUpstream
from tests.maven.conftest import Open

FIRST, SECOND = b"first " * 1000, b"other " * 1000
RELEASE = "com/acme/tool/1.0/tool-1.0.jar"
SNAPSHOT = "com/acme/tool/1.0-SNAPSHOT/tool-1.0-20260101.000000-1.jar"


def offer(fake: FaultyUpstream, path: str, body: bytes) -> None:
    fake.serve(f"/maven2/{path}", body)
    fake.serve(f"/maven2/{path}.sha1", hashlib.sha1(body, usedforsecurity=False).hexdigest().encode(), "text/plain")


@pytest.mark.parametrize(("path", "is_kept"), [(RELEASE, True), (SNAPSHOT, False)], ids=["release", "snapshot"])
async def test_what_changed_upstream_after_an_eviction(behind: Open, path: str, is_kept: bool) -> None:
    async with FaultyUpstream() as fake:
        offer(fake, path, FIRST)
        jvm = await behind(fake.config("maven"))
        assert (await jvm.get(path)).body == FIRST
        services = jvm.gateway.services
        await Housekeeping(services.blob_rows, services.hosted, services.cache).evict(0)
        offer(fake, path, SECOND)

        changed = await jvm.get(path)
        offer(fake, path, FIRST)
        restored = await jvm.get(path)

        assert changed.status == (502 if is_kept else 200)
        assert restored.body == (FIRST if is_kept else SECOND)
        await services.denials.flush()
        faults = await services.audit.list(action="upstream.corrupt")
        assert len(faults) == int(is_kept)
