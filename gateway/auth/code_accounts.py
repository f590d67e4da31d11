"""One-time codes of one's own: begun by showing one, and ended by showing one. A token is never enough for either."""

import asyncio

from gateway.auth import codes
from gateway.auth.acting import Acting
from gateway.auth.authenticate import SESSION_KIND
from gateway.errors import CodeRequired, Conflict, Forbidden, Unknown
from gateway.model import ActorKind, Assurance


class CodeAccounts(Acting):
    """The acting actor's second factor."""

    async def offer_codes(self) -> tuple[str, str]:
        """A secret and its `otpauth:` address, for an authenticator. Nothing is kept until `begin_codes`."""
        self._require_new()
        secret = codes.new_secret()
        return secret, await asyncio.to_thread(codes.address_of, secret, self.actor.name)

    async def begin_codes(self, secret: str, code: str) -> None:
        """Ask for codes from now on, once this one shows that an authenticator has the secret; sessions without end.

        Raises CodeRequired for another code, Conflict where codes are asked for already.
        """
        self._require_new()
        step = await asyncio.to_thread(codes.step_of, codes.check_secret(secret), code, self._clock())
        if step is None:
            raise CodeRequired("this is not the code of that secret now: are the clocks right?")
        await self._identities.put_code_secret(self.actor.id, secret, step)
        await self._identities.delete_sessions_of(self.actor.id, SESSION_KIND)
        await self.note("code.enable", name=self.actor.name)

    async def end_codes(self) -> None:
        """Ask for no more codes; the last of them comes with this request."""
        self._require_person()
        if self.actor.assurance is Assurance.UNASKED:
            raise Unknown("this account has no one-time codes")
        if self.actor.assurance < Assurance.CODE:
            raise CodeRequired("one more one-time code is needed to do without them")
        await self._identities.delete_code_secret(self.actor.id)
        await self.note("code.disable", name=self.actor.name)

    def _require_new(self) -> None:
        self._require_person()
        if self._identities.code_secret(self.actor.id) is not None:
            raise Conflict("this account has one-time codes already")

    def _require_person(self) -> None:
        self.require_signed_in()
        if self.actor.token is not None or self.actor.kind is not ActorKind.USER:
            raise Forbidden("one-time codes are begun and ended by a person who signed in, not with a token")
