"""The control API below `/-/api/v1/`: one table of routes, and how a request becomes a call of one of them.

Bodies are JSON; errors are raised and become problem+json where all errors do. A client signs in with a token in a
header, or with the dashboard's session cookie; a session must prove with every change that our own page made it, and a
password alone is no way in, since browsers add remembered ones to what other sites ask for. A one-time code comes in
the header `OTP`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from gateway.adapter import CODE_HEADER
from gateway.auth.access import implied
from gateway.errors import Forbidden, Invalid, PathInvalid, RouteUnknown, TooLarge, Unauthenticated
from gateway.model import Actor, Scope
from gateway.web.answers import Answer
from gateway.web.control import installation, organisations, people, repositories, schemas
from gateway.web.control.call import AdminCall, AdminRoute, AdminServices
from gateway.web.credentials import read_code
from gateway.web.openapi import describe
from gateway.web.paths import RouteTable, guard
from gateway.web.sessions import read_session, require_csrf, require_same_site

PREFIX = "/-/api/v1/"
MAX_BODY = 1024 * 1024
_SAFE = {"GET", "HEAD"}
_WITH_BODY = {"POST", "PUT", "PATCH"}
_READ, _DELETE, _ADMIN = Scope.READ, Scope.DELETE, Scope.ADMIN
_AUDIT_QUERY = {
    "limit": "How many, 1 to 1000; 100 unless told.",
    "before": "Only entries with a smaller id.",
    "actor": "Only by this actor.",
    "action": "Only this action.",
    "repository": "Only on this `type/owner/name`.",
    "package": "Only on this package.",
}
_REPOSITORY = "repositories/{type}/{owner}/{repository}"
_PACKAGE = f"{_REPOSITORY}/packages/{{package*}}"
_ORGANISATION = "organisations/{organisation}"
_TEAM = f"{_ORGANISATION}/teams/{{team}}"


async def _openapi(_: AdminCall) -> dict[str, Any]:
    """The description of the API."""
    return describe(ADMIN_ROUTES, PREFIX)


ADMIN_ROUTES: tuple[AdminRoute, ...] = (
    AdminRoute("GET", "openapi.json", _openapi, None, response=dict),
    AdminRoute("POST", "claim", people.redeem, None, schemas.ClaimRequest, schemas.FirstToken, 201),
    AdminRoute("GET", "me", people.me, _READ, response=schemas.Me),
    AdminRoute("PUT", "me/password", people.change_password, _ADMIN, schemas.PasswordRequest, status=204),
    AdminRoute("POST", "me/codes", people.offer_codes, _ADMIN, response=schemas.OfferedCodes),
    AdminRoute("PUT", "me/codes", people.begin_codes, _ADMIN, schemas.FirstCode, status=204),
    AdminRoute("DELETE", "me/codes", people.end_codes, _ADMIN, status=204),
    # people
    AdminRoute("GET", "users", people.users, _ADMIN, response=list[schemas.Account]),
    AdminRoute("POST", "users", people.create_user, _ADMIN, schemas.NewUser, schemas.Account, 201),
    AdminRoute("PATCH", "users/{name}", people.update_user, _ADMIN, schemas.UserChange, schemas.Account),
    AdminRoute("DELETE", "users/{name}", people.delete_user, _ADMIN, status=204),
    AdminRoute("GET", "services", people.services, _ADMIN, response=list[schemas.Account]),
    AdminRoute("POST", "services", people.create_service, _ADMIN, schemas.NewService, schemas.Account, 201),
    AdminRoute("PATCH", "services/{name}", people.update_service, _ADMIN, schemas.ServiceChange, schemas.Account),
    AdminRoute("DELETE", "services/{name}", people.delete_service, _ADMIN, status=204),
    AdminRoute(
        "GET",
        "tokens",
        people.tokens,
        _READ,
        response=list[schemas.TokenView],
        query={"owner": "Whose; oneself unless told."},
    ),
    AdminRoute("POST", "tokens", people.create_token, _READ, schemas.NewToken, schemas.MintedToken, 201),
    AdminRoute("DELETE", "tokens/{id}", people.revoke_token, _READ, status=204),
    # organisations
    AdminRoute("GET", "organisations", organisations.organisations, _READ, response=list[schemas.Organisation]),
    AdminRoute(
        "POST",
        "organisations",
        organisations.create_organisation,
        _ADMIN,
        schemas.NewOrganisation,
        schemas.Organisation,
        201,
    ),
    AdminRoute("DELETE", _ORGANISATION, organisations.delete_organisation, _ADMIN, status=204),
    AdminRoute("GET", f"{_ORGANISATION}/members", organisations.members, _READ, response=list[schemas.Member]),
    AdminRoute(
        "PUT", f"{_ORGANISATION}/members/{{name}}", organisations.set_member, _ADMIN, schemas.Membership, status=204
    ),
    AdminRoute("DELETE", f"{_ORGANISATION}/members/{{name}}", organisations.remove_member, _ADMIN, status=204),
    AdminRoute("GET", f"{_ORGANISATION}/teams", organisations.teams, _READ, response=list[schemas.Team]),
    AdminRoute("POST", f"{_ORGANISATION}/teams", organisations.create_team, _ADMIN, schemas.NewTeam, schemas.Team, 201),
    AdminRoute("DELETE", _TEAM, organisations.delete_team, _ADMIN, status=204),
    AdminRoute("GET", f"{_TEAM}/members", organisations.team_members, _READ, response=list[schemas.Member]),
    AdminRoute("PUT", f"{_TEAM}/members/{{name}}", organisations.add_team_member, _ADMIN, status=204),
    AdminRoute("DELETE", f"{_TEAM}/members/{{name}}", organisations.remove_team_member, _ADMIN, status=204),
    AdminRoute(
        "GET",
        "grants",
        organisations.grants,
        _ADMIN,
        response=list[schemas.Grant],
        query={"repository": "Only those of exactly this pattern."},
    ),
    AdminRoute("POST", "grants", organisations.create_grant, _ADMIN, schemas.NewGrant, schemas.Grant, 201),
    AdminRoute("DELETE", "grants/{id}", organisations.delete_grant, _ADMIN, status=204),
    # repositories and packages
    AdminRoute(
        "GET",
        "repositories",
        repositories.repositories,
        _READ,
        response=list[schemas.RepositoryView],
        query={"owner": "Only of this owner.", "type": "Only of this type."},
    ),
    AdminRoute(
        "POST",
        "repositories",
        repositories.create_repository,
        _ADMIN,
        schemas.NewRepository,
        schemas.RepositoryView,
        201,
    ),
    AdminRoute("GET", _REPOSITORY, repositories.repository, _READ, response=schemas.RepositoryView),
    AdminRoute(
        "PATCH",
        _REPOSITORY,
        repositories.update_repository,
        _ADMIN,
        schemas.RepositoryChange,
        schemas.RepositoryView,
    ),
    AdminRoute("DELETE", _REPOSITORY, repositories.delete_repository, _ADMIN, status=204),
    AdminRoute("GET", f"{_REPOSITORY}/packages", repositories.packages, _READ, response=list[schemas.PackageView]),
    AdminRoute("PUT", f"{_PACKAGE}/ownership", repositories.set_ownership, _ADMIN, schemas.Ownership, status=204),
    AdminRoute("PUT", f"{_PACKAGE}/restriction", repositories.set_restriction, _ADMIN, schemas.Restriction, status=204),
    AdminRoute("DELETE", _PACKAGE, repositories.delete_package, _DELETE, status=204),
    # the installation
    AdminRoute("GET", "audit", installation.audit, _ADMIN, response=list[schemas.AuditView], query=_AUDIT_QUERY),
    AdminRoute("GET", "upstreams", installation.upstreams, _ADMIN, response=list[schemas.HealthView]),
    AdminRoute("GET", "cache", installation.cache, _ADMIN, response=list[schemas.CacheView]),
    AdminRoute("POST", "cache/purge", installation.purge, _ADMIN, schemas.Purge, schemas.Purged),
)
_TABLE = RouteTable(ADMIN_ROUTES)


async def dispatch(services: AdminServices, request: web.BaseRequest, actor: Actor, request_id: str = "") -> Answer:
    """Answer one request below PREFIX; raises errors of `gateway.errors`.

    actor: from the request's headers, with the client's address; for nobody, the session cookie is read here.
    """
    raw, _, query = request.raw_path.partition("?")
    path = guard(raw)
    if not path.startswith(PREFIX):
        raise RouteUnknown("there is nothing at this address")
    match = _TABLE.find(request.method, path.removeprefix(PREFIX))
    actor = _acting(services, request, actor)
    _require_scope(actor, match.route.scope)
    if actor.token is None and request.method not in _SAFE:  # a token's code was looked at with the token
        actor = await services.authenticator.prove(actor, read_code(request.headers, CODE_HEADER))
    body = await _body(request, match.route)
    call = AdminCall(services, actor, match.captures, _query(query), body, request_id)
    return _answer(match.route, await match.route.handler(call))


def _acting(services: AdminServices, request: web.BaseRequest, actor: Actor) -> Actor:
    """The actor, or whose session it is; a change asked for by another site is refused whoever it is."""
    is_change = request.method not in _SAFE
    if is_change:
        require_same_site(request.headers)
    if not actor.is_anonymous:
        if actor.token is None:
            raise Unauthenticated("the API takes tokens and sessions, no passwords")
        return actor
    secret = read_session(request.headers)
    found = services.authenticator.session_actor(secret, actor.address) if secret is not None else None
    if found is None or secret is None:
        return actor
    if is_change:
        require_csrf(request.headers, secret)
    return found


def _require_scope(actor: Actor, scope: Scope | None) -> None:
    if scope is None:
        return
    if actor.is_anonymous:
        raise Unauthenticated("this needs a token")
    if actor.token is not None and scope not in implied(actor.token.scopes):
        raise Forbidden(f"the token has no {scope}")


async def _body(request: web.BaseRequest, route: AdminRoute) -> object:
    """The decoded body, as the route's request type. Other sites' forms cannot send its content type."""
    if request.method not in _WITH_BODY or (route.request is None and not request.can_read_body):
        return None
    if request.content_type != "application/json":
        raise Invalid("a change is sent as application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Invalid("a body here is not compressed")
    raw = bytearray()
    if (request.content_length or 0) > MAX_BODY:
        raise TooLarge(f"the body has more than {MAX_BODY} bytes")
    async for chunk in request.content.iter_any():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise TooLarge(f"the body has more than {MAX_BODY} bytes")
    if route.request is None:
        return None
    try:
        return msgspec.json.decode(bytes(raw), type=route.request)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"the body: {str(error)[:300]}") from error


def _query(text: str) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="strict"))
    except ValueError as error:
        raise PathInvalid("the query cannot be read") from error


def _answer(route: AdminRoute, value: object) -> Answer:
    headers = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
    if route.status == 204:
        return Answer(204, headers)
    return Answer(route.status, (("Content-Type", "application/json"), *headers), msgspec.json.encode(value))
