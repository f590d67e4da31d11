"""Handlers of the control API: oneself, users, service accounts and tokens."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.auth.access import implied
from gateway.auth.claim import redeem_claim
from gateway.errors import CodeRequired, Forbidden, GatewayError
from gateway.model import ActorKind, Scope
from gateway.store.rows import ActorRow, TokenRow
from gateway.web.control import schemas
from gateway.web.control.call import AdminCall


async def me(call: AdminCall) -> schemas.Me:
    """Who asks."""
    row, token = call.accounts.me(), call.actor.token
    scopes = frozenset(Scope) if token is None else implied(token.scopes)
    organisations = dict(call.accounts.rights.organisations)
    return schemas.Me(row.name, row.kind, row.email, row.is_admin, organisations, sorted(scopes), row.needs_code)


async def change_password(call: AdminCall) -> None:
    """Change one's own password, in a session; other sessions end."""
    body = call.expect(schemas.PasswordRequest)
    with _guessed(call, Forbidden):
        await call.accounts.change_password(body.current, body.new)


async def offer_codes(call: AdminCall) -> schemas.OfferedCodes:
    """Make a secret for one-time codes, in a session; nothing is kept until a first code confirms it."""
    return schemas.OfferedCodes(*await call.accounts.offer_codes())


async def begin_codes(call: AdminCall) -> None:
    """Ask for one-time codes from now on, once a first code shows that the secret arrived; sessions end."""
    body = call.expect(schemas.FirstCode)
    with _guessed(call, CodeRequired):
        await call.accounts.begin_codes(body.secret, body.code)


async def end_codes(call: AdminCall) -> None:
    """Ask for no more one-time codes; needs a session, and a code in the header `OTP`."""
    await call.accounts.end_codes()


async def redeem(call: AdminCall) -> schemas.FirstToken:
    """Make the first administrator, with the secret of the one-time link that the first start left."""
    body = call.expect(schemas.ClaimRequest)
    with _guessed(call, Forbidden):
        secret = await redeem_claim(
            call.services.identities,
            call.services.audit,
            body.secret,
            body.name,
            body.password,
            email=body.email,
            address=call.actor.address,
        )
    return schemas.FirstToken(secret)


@contextmanager
def _guessed(call: AdminCall, wrong: type[GatewayError]) -> Iterator[None]:
    """Let a secret be tried: `wrong` counts as a failure of the address. Raises Throttled once it had too many."""
    throttle, address = call.services.authenticator.throttle, call.actor.address
    throttle.check(address)
    try:
        yield
    except wrong:
        throttle.note(address)
        raise


# ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def users(call: AdminCall) -> list[schemas.Account]:
    """All users."""
    return [_account(row) for row in await call.accounts.users()]


async def create_user(call: AdminCall) -> schemas.Account:
    """Create a user."""
    body = call.expect(schemas.NewUser)
    return _account(
        await call.accounts.create_user(body.name, email=body.email, password=body.password, is_admin=body.is_admin)
    )


async def update_user(call: AdminCall) -> schemas.Account:
    """Change a user."""
    body = call.expect(schemas.UserChange)
    row = await call.accounts.update_actor(
        ActorKind.USER,
        call.path["name"],
        email=body.email,
        password=body.password,
        is_admin=body.is_admin,
        is_disabled=body.is_disabled,
    )
    return _account(row)


async def delete_user(call: AdminCall) -> None:
    """Delete a user with its tokens, memberships and grants; its repositories must be gone first."""
    call.accounts.require_admin()
    call.services.repositories.require_none_of(call.path["name"])
    await call.accounts.delete_actor(ActorKind.USER, call.path["name"])


# ── service accounts ─────────────────────────────────────────────────────────────────────────────────────────────
async def services(call: AdminCall) -> list[schemas.Account]:
    """All service accounts."""
    return [_account(row) for row in await call.accounts.services()]


async def create_service(call: AdminCall) -> schemas.Account:
    """Create a service account."""
    return _account(await call.accounts.create_service(call.expect(schemas.NewService).name))


async def update_service(call: AdminCall) -> schemas.Account:
    """Disable or enable a service account."""
    is_disabled = call.expect(schemas.ServiceChange).is_disabled
    return _account(await call.accounts.update_actor(ActorKind.SERVICE, call.path["name"], is_disabled=is_disabled))


async def delete_service(call: AdminCall) -> None:
    """Delete a service account with its tokens and grants."""
    await call.accounts.delete_actor(ActorKind.SERVICE, call.path["name"])


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def tokens(call: AdminCall) -> list[schemas.TokenView]:
    """One's own tokens, or those of `owner`."""
    return [_token(row) for row in await call.accounts.tokens(call.query.get("owner"))]


async def create_token(call: AdminCall) -> schemas.MintedToken:
    """Make a token that can do no more than the one that is used for it."""
    body = call.expect(schemas.NewToken)
    secret, row = await call.accounts.create_token(
        name=body.name,
        scopes=body.scopes,
        repositories=body.repositories,
        packages=body.packages,
        cidrs=body.cidrs,
        expires_at=body.expires_at,
        owner=body.owner,
        is_automation=body.is_automation,
    )
    return schemas.MintedToken(secret, _token(row))


async def revoke_token(call: AdminCall) -> None:
    """Revoke a token; it fails at the next request."""
    await call.accounts.revoke_token(call.number("id"))


def _account(row: ActorRow) -> schemas.Account:
    return schemas.Account(
        row.name, row.kind, row.email, row.has_password, row.is_admin, row.is_disabled, row.created_at, row.needs_code
    )


def _token(row: TokenRow) -> schemas.TokenView:
    return schemas.TokenView(
        row.id,
        row.name,
        row.hint,
        sorted(row.scopes),
        row.repositories,
        row.packages,
        row.cidrs,
        row.expires_at,
        row.created_at,
        row.last_used_at,
        row.is_automation,
    )
