"""One-time codes (TOTP, RFC 6238) as a second factor: made, checked, and accepted once.

A code is good for its step of 30 seconds and for those beside it (RFC 6238 §5.2), and none is accepted twice, nor one
older than the last: the catalogue remembers the step. Clients that do one thing in several requests send the same code
with each, so the token that brought it may bring it again from the same address while it lasts, to write; it makes no
token and administers nothing then. Wrong codes are counted by address, like wrong passwords, and by account.
"""

import hmac
import re
import secrets
import time
from base64 import b32encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.auth.throttle import Throttle
from gateway.errors import CodeRequired, Invalid
from gateway.model import Actor, Assurance
from gateway.store.audit import Audit
from gateway.store.identities import Identities
from gateway.store.rows import AuditEntry

if TYPE_CHECKING:
    from pyotp import TOTP

ISSUER = "Entrepot"
_STEP = 30  # seconds; what every authenticator app takes for granted
_SECRET_BYTES = 20  # RFC 4226 §4, R6
_SECRET = re.compile(r"[A-Z2-7]{32}\Z")
_CODE = re.compile(r"[0-9]{6}\Z")


def new_secret() -> str:
    """A secret for an authenticator, in base32."""
    return b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def address_of(secret: str, name: str) -> str:
    """The `otpauth:` address that authenticators read as a QR code."""
    return _totp(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(secret: str, code: str, now: float) -> int | None:
    """The step whose code this is, of those that are good at `now` (POSIX seconds); the same work for every code."""
    text, at, totp = code.strip(), int(now) // _STEP, _totp(secret)
    found = None
    for step in (at - 1, at, at + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), text.encode("utf-8", "replace")):
            found = step
    return found if _CODE.match(text) else None


def check_secret(secret: str) -> str:
    """A secret of our own making; raises Invalid."""
    if not _SECRET.match(secret):
        raise Invalid("the secret is not one that was made here")
    return secret


class CodeCheck:
    """Checks the codes that actors bring. One per worker."""

    def __init__(
        self,
        identities: Identities,
        audit: Audit,
        by_address: Throttle,
        by_account: Throttle,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._identities = identities
        self._audit = audit
        self._by_address = by_address
        self._by_account = by_account
        self._clock = clock

    async def prove(self, actor: Actor, code: str) -> Actor:
        """The actor with what this code proves; raises CodeRequired for a bad one, Throttled after too many."""
        self._by_address.check(actor.address)
        self._by_account.check(str(actor.id))
        secret = self._identities.code_secret(actor.id)
        step = None if secret is None else step_of(secret, code, self._clock())
        taken = None
        if secret is not None and step is not None:
            taken = await self._identities.take_step(actor.id, secret, step, _bearer(actor))
        if taken is None:
            await self._refuse(actor, is_known=step is not None)
        return replace(actor, assurance=Assurance.CODE if taken else Assurance.WRITES)

    async def _refuse(self, actor: Actor, *, is_known: bool) -> None:
        self._by_address.note(actor.address)
        self._by_account.note(str(actor.id))
        why = "used before" if is_known else "wrong"
        await self._audit.append(
            [AuditEntry(self._clock(), actor.name, "code.refused", detail={"why": why}, address=actor.address)]
        )
        raise CodeRequired(
            f"the one-time code is {'no good a second time' if is_known else 'wrong'}: wait for the next"
        )


def _bearer(actor: Actor) -> str:
    """Who may bring the same code again: a token, from one address. Whoever signs in with a password may not."""
    return f"{actor.token.id} {actor.address}" if actor.token is not None and actor.token.id else ""


def _totp(secret: str) -> "TOTP":
    from pyotp import TOTP  # noqa: PLC0415 only those need it who have a second factor

    return TOTP(secret)
