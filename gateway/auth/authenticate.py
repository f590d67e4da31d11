"""From what a client presented to who it is: token, password or session → `Actor`.

A known token is found in a memo that lives as long as the catalogue's `auth` epoch, so a revoked one fails at the next
request of any worker. Failures are counted by address; an address that had too many is told to wait, but a good token
from there still works: 178 bits cannot be guessed, and a colleague's broken job must not stop everybody's builds.

Whoever has a second factor gets no further with a password alone, and only reads with a token alone, until a one-time
code comes with a request (`Assurance`). A request that changes nothing needs none, and uses none up.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from cachetools import LRUCache, TTLCache
from msgspec.structs import replace

from gateway.auth import access, passes, passwords, tokens
from gateway.auth.codes import CodeCheck
from gateway.auth.credential import Credential
from gateway.auth.throttle import Throttle
from gateway.config import AuthConfig
from gateway.errors import CodeRequired, GatewayError, Throttled, Unauthenticated
from gateway.model import Actor, ActorKind, Assurance, Scope, TokenLimits
from gateway.store.audit import Audit
from gateway.store.database import Database
from gateway.store.identities import Identities
from gateway.store.rows import ActorRow

SESSION_KIND = "dashboard"
_MAX_KNOWN = 10_000
_PASSWORD_SECONDS = 60.0
_CODES_SECONDS = 3600.0  # the window for wrong codes of one account: of a million codes three are good at a time


class Authenticator:
    """Who asks. One per worker; `flush` must be awaited now and then, and at shutdown."""

    def __init__(
        self,
        identities: Identities,
        database: Database,
        config: AuthConfig,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: POSIX seconds, for expiry. `timer`: monotonic seconds, for windows and memos."""
        self.throttle = Throttle(config.max_failures, config.failure_window, timer)
        by_account = Throttle(config.max_failures, _CODES_SECONDS, timer, str)
        self._codes = CodeCheck(identities, Audit(database), self.throttle, by_account, clock)
        self._identities = identities
        self._database = database
        self._clock = clock
        self._epoch = -1
        self._known: LRUCache[str, tuple[ActorRow, TokenLimits]] = LRUCache(_MAX_KNOWN)
        self._passwords: TTLCache[bytes, ActorRow] = TTLCache(1000, _PASSWORD_SECONDS, timer)
        self._pepper = secrets.token_bytes(32)
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._used: dict[int, float] = {}
        self.passes = passes.Seals(database)

    async def actor(
        self,
        credential: Credential | None,
        address: str,
        audience: str = "",
        *,
        code: str = "",
        is_change: bool = True,
    ) -> Actor:
        """Who presents this from that address; nobody for None. Passes count where they were issued for `audience`.

        code: the one-time code that came with it. Raises Unauthenticated for a credential that is no good here and now,
        CodeRequired for a password without the code that it needs, Throttled after too many of those.
        """
        found = await self.identify(credential, address, audience)
        if found.assurance is Assurance.UNASKED:
            return found
        if not is_change and found.token is not None:
            return replace(found, assurance=max(found.assurance, Assurance.SESSION))
        return await self.prove(found, code)

    async def prove(self, actor: Actor, code: str) -> Actor:
        """The actor with what this code proves; raises CodeRequired for a bad one, and for a password without one."""
        if code and actor.assurance < Assurance.CODE:
            return await self._codes.prove(actor, code)
        if actor.assurance is Assurance.NONE and actor.token is None:
            raise CodeRequired("this account signs in with a one-time code beside its password, or with a token")
        return actor

    async def identify(self, credential: Credential | None, address: str, audience: str = "") -> Actor:
        """As `actor`, before any code is looked at: with a second factor, what it returns has proved nothing yet."""
        if credential is None:
            return nobody(address)
        user = credential.user
        if credential.secret.startswith(passes.PREFIX):
            return self.pass_actor(credential.secret, address, audience)
        if not user or user == "__token__" or credential.secret.startswith(tokens.PREFIX):  # no password is tried
            return self.token_actor(credential.secret, address)
        return await self.password_actor(user, credential.secret, address)

    def token_actor(self, secret: str, address: str) -> Actor:
        """Whose token this is; synchronous, and without a look-up for what has not the form of a token."""
        return self._by_sha256(tokens.sha256(secret) if tokens.is_well_formed(secret) else "", address)

    def _by_sha256(self, sha256: str, address: str) -> Actor:
        found = self._find(sha256) if sha256 else None
        if found is None:
            raise self.failure(address, "this token is not known, or was revoked")
        row, limits = found
        if row.is_disabled:
            raise self.failure(address, "the account of this token is disabled")
        if limits.expires_at is not None and limits.expires_at <= self._clock():
            raise self.failure(address, "this token has expired")
        if limits.cidrs and not any(access.is_within(address, cidr) for cidr in limits.cidrs):
            raise self.failure(address, "this token may not be used from this address")
        self.touch(limits.id)
        proved = Assurance.WRITES if limits.is_automation else Assurance.NONE
        assurance = proved if row.needs_code else Assurance.UNASKED
        return Actor(row.kind, row.id, row.name, row.is_admin, limits, address, assurance)

    def pass_actor(self, secret: str, address: str, audience: str, kind: str = passes.ACCESS) -> Actor:
        """Who was given this pass, as far as it was asked for; raises Unauthenticated when it, or its token, ended."""
        found = self.passes.open(secret, audience, kind)
        if found is None:
            raise self.failure(address, "this pass is not known here")
        if found.expires_at <= self._clock():
            raise Unauthenticated("this pass has expired")
        if found.token:
            actor = self._by_sha256(found.token, address)
            limits = actor.token
            assert limits is not None
            ends = min(found.expires_at, limits.expires_at or found.expires_at)
            return replace(actor, token=replace(limits, asked=found.asked, expires_at=ends))
        limits = TokenLimits(0, frozenset(Scope), expires_at=found.expires_at, asked=found.asked)
        if not found.actor:
            return replace(nobody(address), token=limits)
        row = self._identities.actor(found.actor)
        if row is None or row.is_disabled or row.name != found.name or row.needs_code:
            raise self.failure(address, "the account of this pass is gone or disabled")
        return Actor(row.kind, row.id, row.name, row.is_admin, limits, address)

    async def password_actor(self, name: str, password: str, address: str) -> Actor:
        """The user of that name and password; one check at a time for each pair, good for a minute.

        A password is only the first factor of an account that has two: the actor has proved nothing then (`prove`).
        """
        key = hashlib.blake2b(f"{len(name)}:{name}:{password}".encode(), key=self._pepper, digest_size=32).digest()
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            epoch = self._refresh()
            row = self._passwords.get(key)
            if row is None:
                self.throttle.check(address)
                row = await self._verify(name, password)
                if row is None:
                    raise self.failure(address, "wrong user name or password")
                if self._refresh() == epoch:
                    self._passwords[key] = row
        assurance = Assurance.NONE if row.needs_code else Assurance.UNASKED
        return Actor(row.kind, row.id, row.name, row.is_admin, None, address, assurance)

    def session_actor(self, secret: str, address: str) -> Actor | None:
        """Whose dashboard session this is; None for one that ended, as one without a code does once one is due."""
        session = self._identities.session(tokens.sha256(secret), self._clock())
        if session is None or session.kind != SESSION_KIND or session.actor_id is None:
            return None
        row = self._identities.actor(session.actor_id)
        if row is None or row.is_disabled or (row.needs_code and not session.payload.get("code")):
            return None
        assurance = Assurance.SESSION if row.needs_code else Assurance.UNASKED
        return Actor(row.kind, row.id, row.name, row.is_admin, None, address, assurance)

    def failure(self, address: str, message: str) -> GatewayError:
        """The error for one more bad credential from this address, which it counts."""
        try:
            self.throttle.check(address)
        except Throttled as error:
            return error
        self.throttle.note(address)
        return Unauthenticated(message)

    def touch(self, token_id: int) -> None:
        """Note that a token is being used; written by the next `flush`."""
        if token_id:
            self._used[token_id] = self._clock()

    async def flush(self) -> None:
        """Write when tokens were last used, in one transaction; what cannot be written waits for the next flush."""
        used, self._used = self._used, {}
        try:
            await self._identities.touch_tokens(used)
        except BaseException:
            self._used = used | self._used
            raise

    def _find(self, key: str) -> tuple[ActorRow, TokenLimits] | None:
        self._refresh()
        known = self._known.get(key)
        if known is None:
            found = self._identities.token_by_sha256(key)
            if found is None:
                return None
            token, row = found
            known = self._known[key] = (row, token.limits())
        return known

    def _refresh(self) -> int:
        """Forget everything when tokens, actors or passwords changed; returns the epoch."""
        epoch = self._database.epoch("auth")
        if epoch != self._epoch:
            self._known.clear()
            self._passwords.clear()
            self._epoch = epoch
        return epoch

    async def _verify(self, name: str, password: str) -> ActorRow | None:
        found = self._identities.password_of(name)
        is_right = await passwords.verify(found[1] if found is not None else None, password)
        if found is None or not is_right or found[0].is_disabled or found[0].kind is not ActorKind.USER:
            return None
        return found[0]


def nobody(address: str) -> Actor:
    """The actor who did not sign in."""
    return Actor(ActorKind.ANONYMOUS, 0, "anonymous", address=address)
