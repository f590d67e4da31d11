"""Passes: short-lived stand-ins for a token, for the parts of packages that they were asked for.

A token service gives them out (an ecosystem whose clients want one). They are sealed with a key of this data folder
instead of being stored, so that an anonymous flood of them costs nothing; the token that one stands for is looked up at
every use, so it ends with that token. A *refresh* pass allows nothing but to ask for others.
"""

import base64
import hashlib
import hmac
import json
import secrets

from msgspec import Struct

from gateway.model import Asked, Scope
from gateway.store.database import Database
from gateway.store.settings import Settings

PREFIX = "entp_"
ACCESS, REFRESH = "access", "refresh"
_KEY = "pass_key"
_SEAL = 16  # bytes of the HMAC that are kept
_LONGEST = 6000  # characters; header lines end at 8190 in many servers and proxies


class Pass(Struct, frozen=True):
    """What is sealed. token: sha256 of the token it stands for, or empty; actor, name: who used a password, or 0.

    audience: the adapter that it was issued for. expires_at: POSIX seconds.
    """

    kind: str
    audience: str
    expires_at: float
    asked: tuple[Asked, ...] = ()
    token: str = ""
    actor: int = 0
    name: str = ""


class Seals:
    """Seals and opens passes with the key of this data folder."""

    def __init__(self, database: Database) -> None:
        self._settings = Settings(database)
        self._key = b""

    def seal(self, one: Pass) -> str:
        """The pass as a secret. What was asked beyond a header's length is left out: nobody asks for so much."""
        asked = [[a.repository, a.package, "".join(sorted(scope.name[0] for scope in a.scopes))] for a in one.asked]
        while True:
            tree = [one.kind, one.audience, int(one.expires_at), one.token, one.actor, one.name, asked]
            body = json.dumps(tree, separators=(",", ":")).encode()
            secret = PREFIX + base64.urlsafe_b64encode(self._mark(body) + body).decode().rstrip("=")
            if len(secret) <= _LONGEST or not asked:
                return secret
            asked = asked[:-1]

    def open(self, secret: str, audience: str, kind: str) -> Pass | None:
        """The pass, if it was sealed here, for that audience and kind; whether it has expired is not judged."""
        if not secret.startswith(PREFIX) or len(secret) > _LONGEST:
            return None
        text = secret.removeprefix(PREFIX)
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except ValueError:
            return None
        mark, body = raw[:_SEAL], raw[_SEAL:]
        if not hmac.compare_digest(mark, self._mark(body)):
            return None
        found_kind, found_audience, expires_at, token, actor, name, asked = json.loads(body)
        if (found_kind, found_audience) != (kind, audience):
            return None
        return Pass(kind, audience, expires_at, tuple(_asked(*one) for one in asked), token, actor, name)

    def _mark(self, body: bytes) -> bytes:
        if not self._key:
            self._key = bytes.fromhex(self._settings.get(_KEY) or "")
        if not self._key:
            raise RuntimeError("the data folder was not prepared")
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_SEAL]


async def prepare_seals(settings: Settings) -> None:
    """Make the key of this data folder, unless it has one."""
    await settings.put_if_absent(_KEY, secrets.token_hex(32))


_SCOPES = {scope.name[0]: scope for scope in Scope}


def _asked(repository: str, package: str, letters: str) -> Asked:
    return Asked(repository, package, frozenset(_SCOPES[letter] for letter in letters))
