"""Signing in to the dashboard with a password, and out again."""

import secrets
import time
from collections.abc import Callable

from gateway.auth import tokens
from gateway.auth.authenticate import SESSION_KIND, Authenticator
from gateway.model import Assurance
from gateway.store.audit import Audit
from gateway.store.identities import Identities
from gateway.store.rows import AuditEntry, SessionRow


class SignIn:
    """Makes and ends sessions; `session_seconds` is how long one lasts."""

    def __init__(
        self,
        authenticator: Authenticator,
        identities: Identities,
        audit: Audit,
        session_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.session_seconds = session_seconds
        self._authenticator = authenticator
        self._identities = identities
        self._audit = audit
        self._clock = clock

    async def sign_in(self, name: str, password: str, address: str, code: str = "") -> str:
        """The secret of a new session; raises Unauthenticated, CodeRequired or Throttled."""
        actor = await self._authenticator.password_actor(name, password, address)
        actor = await self._authenticator.prove(actor, code)
        told = {"address": address, "code": actor.assurance is Assurance.CODE}
        secret = secrets.token_urlsafe(32)
        now = self._clock()
        await self._identities.put_session(
            SessionRow(tokens.sha256(secret), SESSION_KIND, actor.id, told, now + self.session_seconds)
        )
        await self._audit.append([AuditEntry(now, actor.name, "session.start", address=address)])
        return secret

    async def sign_out(self, secret: str) -> None:
        """End the session with this secret, if there is one."""
        await self._identities.delete_session(tokens.sha256(secret))
