"""The token service (distribution's auth/token and auth/oauth specs): a credential in, a pass for what was asked out.

A pass remembers what was asked for; what of it is granted is decided at every use, so a right that is taken away is
gone at once. Passes are sealed, not stored. Clients that ask for it get a refresh pass, which stands for their token
and ends with it.
"""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from msgspec.structs import replace

from adapters.container.names import TYPE
from adapters.container.scopes import CATALOG, Wanted, parse_scopes, render_scope
from adapters.container.wire import API_VERSION
from gateway.auth import passes, tokens
from gateway.auth.credential import Credential
from gateway.errors import Invalid, Unauthenticated
from gateway.model import Actor, Repository, RepositoryKey, Scope
from gateway.permit import Permit
from gateway.web.credentials import read_credentials

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call, HostCall

_LONGEST_FORM = 64 * 1024
_LEAST_SECONDS = 60.0


async def token_of_host(call: "HostCall") -> "Answer":
    """GET token: a pass for images below this host."""
    return await _token(call, None)


async def token_of_repository(call: "Call") -> "Answer":
    """GET token: a pass for images of this repository, by their names in it."""
    return await _token(call, call.repository)


async def _token(call: "HostCall", repository: Repository | None) -> "Answer":
    form = await _form(call)
    scopes = call.queried("scope") if call.method != "POST" else form.get("scope", "").split(" ")
    wanted = parse_scopes(scopes, repository.key if repository is not None else None)
    actor, stands_for = await _who(call, form, repository, wanted)
    seconds = max(_LEAST_SECONDS, call.services.config.auth.pass_seconds)
    now = time.time()
    ends = min(now + seconds, _expiry(actor) or now + seconds)
    uses_password = not stands_for and not actor.is_anonymous
    made = passes.Pass(
        passes.ACCESS,
        TYPE,
        ends,
        tuple(one.asked for one in wanted),
        stands_for,
        actor.id if uses_password else 0,
        actor.name if uses_password else "",
    )
    seals = call.authenticator.passes
    secret = seals.seal(made)
    body = {
        "token": secret,
        "access_token": secret,
        "token_type": "Bearer",
        "expires_in": max(int(_LEAST_SECONDS), int(ends - now)),
        "issued_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "scope": " ".join(_granted(call, actor, wanted)),
    }
    if stands_for and call.services.config.auth.refresh_passes and _wants_refresh(call, form):
        forever = _expiry(actor) or now + 10 * 365 * 86400.0
        body["refresh_token"] = seals.seal(passes.Pass(passes.REFRESH, TYPE, forever, (), stands_for))
    return call.json(body, headers=(API_VERSION, ("Cache-Control", "no-store")))


async def _who(
    call: "HostCall", form: dict[str, str], repository: Repository | None, wanted: list[Wanted]
) -> tuple[Actor, str]:
    """Who asks, and the sha256 of the token that was presented (empty for a password, and for nobody)."""
    authenticator, address = call.authenticator, call.actor.address
    grant = form.get("grant_type", "")
    if grant == "refresh_token":
        secret = form.get("refresh_token", "")
        actor = authenticator.pass_actor(secret, address, TYPE, passes.REFRESH)
        found = authenticator.passes.open(secret, TYPE, passes.REFRESH)
        return actor, found.token if found is not None else ""
    if grant == "password":
        credential: Credential | None = Credential(form.get("password", ""), form.get("username", ""))
    elif grant:
        raise Invalid(f"grant_type {grant[:40]!r} is not known: password and refresh_token are")
    else:
        credential = read_credentials(call.headers)
    if credential is not None and _is_strangers(call, credential, repository, wanted):
        credential = None
    actor = await authenticator.actor(credential, address)
    if credential is None or not credential.is_token:
        return actor, ""
    _check_user(call, credential, actor)
    return actor, tokens.sha256(credential.secret)


def _is_strangers(
    call: "HostCall", credential: Credential, repository: Repository | None, wanted: list[Wanted]
) -> bool:
    """Whether this is a credential of the registry that a repository mirrors: dockerd sends it to mirrors as well.

    It is dropped unread where everybody may pull what is asked for; a refusal would make docker skip the mirror.
    """
    if repository is None or not wanted or credential.is_token:
        return False
    if any(one.asked.scopes != {Scope.READ} for one in wanted):
        return False
    if not credential.user or call.services.identities.actor_by_name(credential.user) is not None:
        return False
    permit = Permit(call.services, repository, call.actor)
    return all(permit.allows(Scope.READ, one.asked.package) for one in wanted)


def _check_user(call: "HostCall", credential: Credential, actor: Actor) -> None:
    """Refuse a token under the name of somebody else who is known here: one of the two is a mistake."""
    user = credential.user
    if user and user != actor.name and call.services.identities.actor_by_name(user) is not None:
        raise Unauthenticated(f"this token does not belong to {user[:60]}")


def _granted(call: "HostCall", actor: Actor, wanted: list[Wanted]) -> list[str]:
    """What a use of the pass would be allowed now."""
    shown = []
    for one in wanted:
        if one.asked == CATALOG:
            shown.append(render_scope(one, one.asked.scopes))
            continue
        repository = call.services.repository(RepositoryKey.parse(one.asked.repository))
        if repository is None:
            continue
        permit, package = Permit(call.services, repository, _unasked(actor)), one.asked.package
        row = call.services.packages.get(repository.id, package)
        restricted = row is not None and row.is_restricted
        granted = {s for s in one.asked.scopes if permit.allows(s, package, is_restricted=restricted)}
        if granted:
            shown.append(render_scope(one, frozenset(granted)))
    return shown


def _unasked(actor: Actor) -> Actor:
    """The actor with all that its token allows: a refresh pass itself allows nothing."""
    return actor if actor.token is None else replace(actor, token=replace(actor.token, asked=None))


def _expiry(actor: Actor) -> float | None:
    return None if actor.token is None else actor.token.expires_at


def _wants_refresh(call: "HostCall", form: dict[str, str]) -> bool:
    if form.get("grant_type") == "refresh_token":
        return False
    return call.query.get("offline_token") == "true" or form.get("access_type") == "offline"


async def _form(call: "HostCall") -> dict[str, str]:
    if call.method != "POST":
        return {}
    body = await call.body(_LONGEST_FORM)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise Invalid("the body is not a form") from error
