"""Somebody with one-time codes, for tests of the whole gateway."""

import base64
import time
from typing import Any

from pyotp import TOTP

from gateway.auth import codes, passwords
from gateway.model import Scope
from tests.conftest import Gateway, Reply

PASSWORD = "correct horse battery"
WRITES = (Scope.READ, Scope.WRITE, Scope.DELETE)
ALL = (*WRITES, Scope.ADMIN)


class Factor:
    """The authenticator of a user. `fresh` has two codes: the one of now, then the next; both are good for a while."""

    def __init__(self, gateway: Gateway, user: str, secret: str) -> None:
        self.gateway, self.user, self.secret = gateway, user, secret
        self._step = int(time.time()) // 30
        self._given = 0

    @classmethod
    async def begin(cls, gateway: Gateway, user: str = "ada") -> "Factor":
        """Give an administrator a password and one-time codes."""
        identities, id_ = gateway.services.identities, await gateway.user(user, is_admin=True)
        await identities.update_actor(id_, {"password_hash": await passwords.hash(PASSWORD)})
        secret = codes.new_secret()
        await identities.put_code_secret(id_, secret)
        return cls(gateway, user, secret)

    def fresh(self) -> str:
        assert self._given < 2, "a third code in a row would lie in the future"
        self._given += 1
        return TOTP(self.secret).generate_otp(self._step + self._given - 1)

    async def token(self, scopes: tuple[Scope, ...] = WRITES, *, is_automation: bool = False) -> str:
        return await self.gateway.token(self.user, scopes, is_automation=is_automation)

    @property
    def basic(self) -> str:
        """Name and password as Basic authorization."""
        return "Basic " + base64.b64encode(f"{self.user}:{PASSWORD}".encode()).decode()

    def carrying(self, code: str, header: str = "OTP") -> "Carrying":
        """The gateway as a client reaches it that sends this code with everything."""
        made = Carrying(self.gateway.url, self.gateway.services, self.gateway.session)
        made.sent = {header: code}
        return made


class Carrying(Gateway):
    """A gateway whose requests all carry some headers more."""

    sent: dict[str, str]

    async def request(self, method: str, path: str, token: str | None = None, **more: Any) -> Reply:
        return await super().request(method, path, token, **more, **self.sent)
