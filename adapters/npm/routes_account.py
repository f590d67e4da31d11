"""Who the client is: login, logout, whoami, tokens, profile (npm.md §8).

Handlers here need no right on the repository; `call.accounts` decides what the actor may do to accounts.
"""

import hashlib
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adapters.npm.addresses import json_object, routes, text_of
from gateway.auth.access import implied
from gateway.auth.accounts import Accounts
from gateway.auth.web_login import LOGIN_PATH, WebLogins
from gateway.errors import Forbidden, Invalid, Unknown
from gateway.model import Scope
from gateway.store.rows import ActorRow, TokenRow

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_USER_PREFIX = "org.couchdb.user:"
_POLL_SECONDS = "2"
_LOGIN_SCOPES = frozenset({Scope.READ, Scope.WRITE, Scope.DELETE})
_PERMISSIONS = {
    "read-only": frozenset({Scope.READ}),
    "read-write": frozenset({Scope.READ, Scope.WRITE}),
}


# ── login ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def start_login(call: "Call") -> "Answer":
    """POST -/v1/login: where a person approves, and where the client asks whether somebody did."""
    asked = await json_object(call)
    client = asked.get("hostname")
    logins = WebLogins(call.services.identities, call.services.audit)
    started = await logins.start(client if isinstance(client, str) else "npm", call.actor.address)
    return call.json(
        {"loginUrl": f"{call.root}{LOGIN_PATH}{started.link}", "doneUrl": f"{call.base}-/v1/done/{started.poll}"}
    )


async def poll_login(call: "Call") -> "Answer":
    """GET -/v1/done/SECRET: 202 until somebody approved; without Retry-After npm would ask in a busy loop."""
    secret = await WebLogins(call.services.identities, call.services.audit).poll(call.path["secret"])
    if secret is None:
        return call.json({}, 202, (("Retry-After", _POLL_SECONDS), ("Cache-Control", "no-store")))
    return call.json({"token": secret}, headers=(("Cache-Control", "no-store"),))


async def legacy_login(call: "Call") -> "Answer":
    """PUT -/user/org.couchdb.user:USER: name and password, or one of our tokens as password, for a fresh token.

    Nobody is registered here; the fresh token can do no more than the one it was asked for with.
    """
    asked = await json_object(call)
    name, password = text_of(asked, "name"), text_of(asked, "password")
    if name != call.path["user"]:
        raise Invalid("the address and the body name different users")
    accounts = await call.sign_in(name, password)
    limits = accounts.actor.token
    secret, _ = await accounts.create_token(
        name="npm login",
        scopes=_LOGIN_SCOPES if limits is None else _LOGIN_SCOPES & implied(limits.scopes),
        repositories=limits.repositories if limits is not None else (),
        packages=limits.packages if limits is not None else (),
        cidrs=limits.cidrs if limits is not None else (),
        expires_at=limits.expires_at if limits is not None else None,
    )
    answer = {"ok": True, "id": f"{_USER_PREFIX}{accounts.actor.name}", "rev": "1-0", "token": secret}
    return call.json(answer, 201, (("Cache-Control", "no-store"),))


async def logout(call: "Call") -> "Answer":
    """DELETE -/user/token/TOKEN."""
    await call.accounts.revoke_secret(call.path["token"])
    return call.json({"ok": True})


async def whoami(call: "Call") -> "Answer":
    """GET -/whoami; nobody gets 401."""
    call.accounts.require_signed_in()
    return call.json({"username": call.actor.name})


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def user(call: "Call") -> "Answer":
    """GET -/user/org.couchdb.user:USER: what `npm owner` needs to know of somebody."""
    row = call.accounts.person(call.path["user"])
    return call.json({"_id": f"{_USER_PREFIX}{row.name}", "name": row.name, "email": row.email or ""})


async def profile(call: "Call") -> "Answer":
    """GET -/npm/v1/user."""
    return call.json(_profile(call.accounts.me()))


async def change_profile(call: "Call") -> "Answer":
    """POST -/npm/v1/user: only the password is one's own to change."""
    asked = await json_object(call)
    password = asked.pop("password", None)
    if asked or not isinstance(password, dict):
        raise Forbidden("only the password can be changed here; an administrator changes the rest")
    await call.accounts.change_password(text_of(password, "old"), text_of(password, "new"))
    return call.json(_profile(call.accounts.me()))


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def tokens(call: "Call") -> "Answer":
    """GET -/npm/v1/tokens: all on one page."""
    rows = await call.accounts.tokens()
    return call.json({"objects": [_token(row) for row in rows], "total": len(rows), "urls": {}})


async def create_token(call: "Call") -> "Answer":
    """POST -/npm/v1/tokens: a token for this registry only, as narrow as it was asked for; shown this once."""
    asked = await json_object(call)
    accounts = call.accounts
    await _confirm(call, accounts, asked.get("password"))
    days = asked.get("expires")
    if days is not None and not (isinstance(days, int) and 0 < days < 10_000):
        raise Invalid("expires is a number of days")
    secret, row = await accounts.create_token(
        name=str(asked.get("name") or "npm token")[:100],
        scopes=_scopes(asked),
        repositories=(str(call.repository.key),),
        packages=_packages(asked),
        cidrs=_texts(asked, "cidr_whitelist"),
        expires_at=None if days is None else time.time() + days * 86400,
        is_automation=bool(asked.get("bypass_2fa")),
    )
    return call.json({**_token(row), "token": secret}, 201, (("Cache-Control", "no-store"),))


async def revoke_token(call: "Call") -> "Answer":
    """DELETE -/npm/v1/tokens/token/KEY; npm accepts a token's first characters, and finds the key itself."""
    wanted = call.path["key"]
    row = next((row for row in await call.accounts.tokens() if _key(row) == wanted), None)
    if row is None:
        raise Unknown("no such token")
    await call.accounts.revoke_token(row.id)
    return call.json({"ok": True})


async def _confirm(call: "Call", accounts: Accounts, password: Any) -> None:
    """Whoever has a password must know it, since a stolen token should not be enough to make others."""
    if accounts.me().has_password:
        if not isinstance(password, str) or not password:
            raise Invalid("the body needs password")
        await call.confirm_password(password)


def _scopes(asked: dict[str, Any]) -> Collection[Scope]:
    """`packages_and_scopes_permission` of npm 11, or `readonly` of those before."""
    permission = asked.get("packages_and_scopes_permission")
    if permission is None:
        return _PERMISSIONS["read-only" if asked.get("readonly") else "read-write"]
    if permission not in _PERMISSIONS:
        raise Invalid(f"permissions here are {' and '.join(_PERMISSIONS)}, not {str(permission)[:40]!r}")
    return _PERMISSIONS[permission]


def _packages(asked: dict[str, Any]) -> list[str]:
    """Package patterns; none narrows nothing."""
    if asked.get("packages_all"):
        return []
    scopes = [f"{scope if scope.startswith('@') else f'@{scope}'}/*" for scope in _texts(asked, "scopes")]
    return _texts(asked, "packages") + scopes


def _texts(asked: dict[str, Any], name: str) -> list[str]:
    value = asked.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Invalid(f"{name} is a list of texts")
    return list(value)


def _token(row: TokenRow) -> dict[str, Any]:
    return {
        "token": row.hint,
        "key": _key(row),
        "name": row.name,
        "created": _moment(row.created_at),
        "updated": _moment(row.last_used_at or row.created_at),
        "readonly": not row.scopes - {Scope.READ},
        "cidr_whitelist": list(row.cidrs) or None,
        "expires": _moment(row.expires_at) if row.expires_at is not None else None,
        "scopes": sorted(str(scope) for scope in row.scopes),
        "packages": list(row.packages),
        "bypass_2fa": row.is_automation,
    }


def _key(row: TokenRow) -> str:
    """A name for a token that says nothing; npm shows six characters and lets people type a beginning."""
    return hashlib.sha256(f"npm token {row.id}".encode()).hexdigest()[:40]


def _profile(row: ActorRow) -> dict[str, Any]:
    return {
        "tfa": {"pending": False, "mode": "auth-and-writes"} if row.needs_code else None,
        "name": row.name,
        "email": row.email or "",
        "email_verified": row.email is not None,
        "created": _moment(row.created_at),
        "updated": _moment(row.created_at),
        "cidr_whitelist": None,
        "fullname": "",
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


ROUTES = (
    *routes("POST", "-/v1/login", start_login, None),
    *routes("GET", "-/v1/done/{secret}", poll_login, None),
    *routes("PUT", "-/user/org.couchdb.user:{user}", legacy_login, None),
    *routes("PUT", "-/user/org.couchdb.user:{user}/-rev/{revision}", legacy_login, None),
    *routes("GET", "-/user/org.couchdb.user:{user}", user, None),
    *routes("DELETE", "-/user/token/{token}", logout, None),
    *routes("GET", "-/whoami", whoami, None),
    *routes("GET", "-/npm/v1/user", profile, None),
    *routes("POST", "-/npm/v1/user", change_profile, None),
    *routes("GET", "-/npm/v1/tokens", tokens, None),
    *routes("POST", "-/npm/v1/tokens", create_token, None),
    *routes("DELETE", "-/npm/v1/tokens/token/{key}", revoke_token, None),
)
