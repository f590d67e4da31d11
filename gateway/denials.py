"""Refused requests of known actors, for the audit table: collected here, written in batches, bounded in number.

An anonymous 401 is no entry: clients that read their password from a netrc file make one before every request, so it
must stay as cheap as a log line, which it has (docs/decisions/0004).
"""

import time
from collections.abc import Mapping
from typing import Any

from gateway.store.audit import Audit
from gateway.store.rows import AuditEntry

_MOST = 10_000


class Denials:
    """What was refused since the last flush; beyond 10,000 entries only their number is kept."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._entries: list[AuditEntry] = []
        self._dropped = 0

    def note(self, *, actor: str, repository: str, detail: Mapping[str, Any], address: str, request_id: str) -> None:
        """Take one refusal."""
        if len(self._entries) >= _MOST:
            self._dropped += 1
            return
        self._entries.append(
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

    async def flush(self) -> None:
        """Write what came together."""
        entries, self._entries = self._entries, []
        dropped, self._dropped = self._dropped, 0
        if dropped:
            entries.append(AuditEntry(at=time.time(), actor="", action="denied", detail={"more": dropped}))
        if entries:
            await self._audit.append(entries)
