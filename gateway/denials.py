"""What was refused, for the audit table: collected here, written in batches, bounded in number.

Requests of known actors, and files of upstreams that are not what was promised. Tags that upstreams moved are written
down here, too: who asks for them is not who moved them.

An anonymous 401 is no entry: clients that read their password from a netrc file make one before every request, so it
must stay as cheap as a log line, which it has (docs/decisions/0004).
"""

import time
from collections.abc import Mapping
from typing import Any

from cachetools import TTLCache

from gateway.store.audit import Audit
from gateway.store.rows import AuditEntry

_MOST = 10_000
_AGAIN_SECONDS = 600.0  # until the same fault of an upstream is worth another entry


class Denials:
    """What was refused since the last flush; beyond 10,000 entries only their number is kept."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._entries: list[AuditEntry] = []
        self._dropped = 0
        self._faults: TTLCache[tuple[str, ...], None] = TTLCache(1000, _AGAIN_SECONDS)

    def note(self, *, actor: str, repository: str, detail: Mapping[str, Any], address: str, request_id: str) -> None:
        """Take one refusal."""
        self._take(
            AuditEntry(
                at=time.time(),
                actor=actor,
                action="denied",
                repository=repository,
                detail=detail,
                address=address,
                request_id=request_id,
            )
        )

    def note_corrupt(self, *, upstream: str, repository: str, package: str, filename: str, reason: str) -> None:
        """Take one file that an upstream promised otherwise; the same again only after some minutes."""
        key = (upstream, repository, package, filename, reason)
        if key in self._faults:
            return
        self._faults[key] = None
        detail = {"filename": filename, "reason": reason}
        self._take(AuditEntry(time.time(), upstream, "upstream.corrupt", repository, package, detail))

    def note_moved(self, *, upstream: str, repository: str, package: str, tag: str, old: str, new: str) -> None:
        """Take one tag that an upstream moved from the digest `old` to `new`."""
        detail = {"digest": new, "tags": {tag: old}}
        self._take(AuditEntry(time.time(), upstream, "upstream.move", repository, package, detail))

    def _take(self, entry: AuditEntry) -> None:
        if len(self._entries) >= _MOST:
            self._dropped += 1
        else:
            self._entries.append(entry)

    async def flush(self) -> None:
        """Write what came together."""
        entries, self._entries = self._entries, []
        dropped, self._dropped = self._dropped, 0
        if dropped:
            entries.append(AuditEntry(at=time.time(), actor="", action="denied", detail={"more": dropped}))
        if entries:
            await self._audit.append(entries)
