"""Signing a command-line client in through the browser: the client polls, a person approves, the client gets a token.

Two secrets keep the parts apart. The link that the person opens can only approve; the secret that the client polls with
can only collect, once. Who approves sees from which address and under which name the client asked, since a link may
have been sent by somebody else (RFC 8628 §5.4). Nothing is approved by merely opening a link.
"""

import secrets
import time
from collections.abc import Callable

from msgspec import Struct

from gateway.auth import tokens
from gateway.errors import Forbidden, Unknown
from gateway.model import Actor, Scope
from gateway.store.audit import Audit
from gateway.store.identities import Identities
from gateway.store.rows import AuditEntry, SessionRow

LOGIN_PATH = "-/ui/login/"
_LINK_KIND = "web_login_link"
_POLL_KIND = "web_login"
_SECONDS = 600.0
_SCOPES = frozenset({Scope.READ, Scope.WRITE, Scope.DELETE})
_LONGEST_NAME = 60


class Started(Struct, frozen=True):
    """link: what follows LOGIN_PATH in the address that the person opens. poll: the client's secret."""

    link: str
    poll: str


class Pending(Struct, frozen=True):
    """A login that waits for approval: what the client called itself, where it asked from, and when (POSIX seconds)."""

    client: str
    address: str
    asked_at: float


class WebLogins:
    """Logins of command-line clients through the dashboard."""

    def __init__(self, identities: Identities, audit: Audit, clock: Callable[[], float] = time.time) -> None:
        self._identities = identities
        self._audit = audit
        self._clock = clock

    async def start(self, client: str, address: str) -> Started:
        """Begin a login. client: how it calls itself, such as its host name; shown to the person, never believed."""
        started = Started(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        now = self._clock()
        told = {"client": client[:_LONGEST_NAME], "address": address, "asked_at": now}
        poll, link = tokens.sha256(started.poll), tokens.sha256(started.link)
        await self._identities.put_session(SessionRow(poll, _POLL_KIND, None, told, now + _SECONDS))
        await self._identities.put_session(SessionRow(link, _LINK_KIND, None, told | {"poll": poll}, now + _SECONDS))
        return started

    def pending(self, link: str) -> Pending:
        """What waits behind a link; raises Unknown once it was used or has ended."""
        row = self._identities.session(tokens.sha256(link), self._clock())
        if row is None or row.kind != _LINK_KIND:
            raise Unknown("this login was used already, or has ended: start it again")
        return Pending(str(row.payload["client"]), str(row.payload["address"]), float(row.payload["asked_at"]))

    async def approve(self, link: str, actor: Actor) -> None:
        """Let the client behind the link act as this person; raises Forbidden for anybody but a signed-in person."""
        if actor.is_anonymous or actor.token is not None:
            raise Forbidden("a login is approved by somebody who signed in with a password")
        self.pending(link)
        taken = await self._identities.take_session(tokens.sha256(link), _LINK_KIND, self._clock())
        if taken is None:
            raise Unknown("this login was used already, or has ended: start it again")
        poll = str(taken.payload["poll"])
        approved = {**taken.payload, "approved": True}
        await self._identities.put_session(SessionRow(poll, _POLL_KIND, actor.id, approved, taken.expires_at))
        entry = AuditEntry(self._clock(), actor.name, "login.approve", detail=_told(taken), address=actor.address)
        await self._audit.append([entry])

    async def poll(self, poll: str) -> str | None:
        """The new token once somebody approved, handed out once; None while nobody has. Raises Unknown at its end."""
        key = tokens.sha256(poll)
        row = self._identities.session(key, self._clock())
        if row is None or row.kind != _POLL_KIND:
            raise Unknown("this login has ended: start it again")
        if row.actor_id is None:
            return None
        taken = await self._identities.take_session(key, _POLL_KIND, self._clock())
        actor = None if taken is None or taken.actor_id is None else self._identities.actor(taken.actor_id)
        if taken is None or actor is None or actor.is_disabled:
            raise Unknown("this login has ended: start it again")
        secret = tokens.mint()
        await self._identities.create_token(
            actor.id,
            sha256=tokens.sha256(secret),
            hint=tokens.hint(secret),
            name=f"login from {_label(taken.payload['client']) or 'a client'}",
            scopes=_SCOPES,
        )
        return secret


def _told(row: SessionRow) -> dict[str, str]:
    return {"client": str(row.payload["client"]), "from": str(row.payload["address"])}


def _label(text: object) -> str:
    return "".join(c for c in str(text) if c.isprintable()).strip()
