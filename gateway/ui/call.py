"""One request to the dashboard, as a handler sees it: who looks, what was typed, what they may see.

A handler that changes something reads its form with `changes`, which a session and a token of our own page are needed
for; nothing else hands out a form of a signed-in person.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from msgspec import Struct

from gateway.adapter import Adapter
from gateway.auth.accounts import Accounts
from gateway.auth.authenticate import Authenticator, nobody
from gateway.auth.sign_in import SignIn
from gateway.auth.web_login import WebLogins
from gateway.errors import Forbidden, Invalid, RepositoryUnknown, TooLarge, Unauthenticated
from gateway.model import Actor, Repository, RepositoryKey, Scope
from gateway.permit import Permit
from gateway.services import Services
from gateway.store.traffic import Traffic
from gateway.ui import render
from gateway.ui.places import PREFIX, redirect
from gateway.web.answers import Answer
from gateway.web.sessions import csrf_token, require_same_site

CSRF_FIELD = "csrf"
_LONGEST_FORM = 64 * 1024


class UiServices(Struct, frozen=True):
    """What the dashboard works with; `adapters` by type."""

    services: Services
    adapters: Mapping[str, Adapter]
    authenticator: Authenticator
    sign_in: SignIn
    web_logins: WebLogins
    traffic: Traffic

    @classmethod
    def of(cls, services: Services, adapters: Sequence[Adapter], authenticator: Authenticator) -> Self:
        """Over the services of one worker."""
        identities, audit = services.identities, services.audit
        return cls(
            services,
            {adapter.type: adapter for adapter in adapters},
            authenticator,
            SignIn(authenticator, identities, audit, services.config.auth.session_seconds),
            WebLogins(identities, audit),
            Traffic(services.database),
        )


class Visit(Struct, frozen=True):
    """Where a request came from and went to.

    path: decoded and guarded. actor: from its Authorization header, nobody without one. address: the client's.
    is_secure: it reached us by https. root: our external address, ending in a slash.
    """

    path: str
    actor: Actor
    address: str
    is_secure: bool
    root: str
    request_id: str = ""


class UiCall:
    """One request; `path`: decoded captures of the route. `session`: the session's secret, None without one."""

    def __init__(
        self,
        ui: UiServices,
        request: web.BaseRequest,
        visit: Visit,
        path: Mapping[str, str],
        actor: Actor,
        session: str | None,
    ) -> None:
        self.ui = ui
        self.services = ui.services
        self.request = request
        self.visit = visit
        self.path = path
        self.actor = actor
        self.session = session

    @cached_property
    def accounts(self) -> Accounts:
        """Account use cases, bound to who looks."""
        return Accounts(self.services.identities, self.services.audit, self.actor, self.visit.request_id)

    @cached_property
    def query(self) -> dict[str, str]:
        """The decoded query; of a repeated key the last value."""
        return dict(parse_qsl(self.request.raw_path.partition("?")[2], max_num_fields=50))

    def require_person(self) -> None:
        """Raise Unauthenticated unless somebody signed in."""
        if self.actor.is_anonymous:
            raise Unauthenticated("sign in to see this")

    # ── what may be seen ─────────────────────────────────────────────────────────────────────────────────────────
    def permit(self, repository: Repository) -> Permit:
        """The actor's rights in a repository."""
        return Permit(self.services, repository, self.actor)

    def may_read(self, repository: Repository) -> bool:
        """Whether the repository exists for whoever looks."""
        return self.permit(repository).allows(Scope.READ)

    def is_open(self, repository: Repository) -> bool:
        """Whether a client needs no token to read here from where this request came."""
        return Permit(self.services, repository, nobody(self.visit.address)).allows(Scope.READ)

    def repositories(self) -> list[Repository]:
        """Every repository that whoever looks may read, sorted by key."""
        known = self.services.known().values()
        return sorted((r for r in known if self.may_read(r)), key=lambda r: str(r.key))

    def repository(self) -> Repository:
        """The repository that the path names; the same error for one that is not there and one that is not shown."""
        key = RepositoryKey(self.path["type"], self.path["owner"], self.path["repository"])
        found = self.services.repository(key)
        if found is None or not self.may_read(found):
            if self.actor.is_anonymous:
                raise Unauthenticated(f"sign in to see {key}")
            raise RepositoryUnknown(f"no repository {key}")
        return found

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────
    def page(self, template: str, status: int = 200, **context: Any) -> Answer:
        """A page with what every page shows."""
        shared = {
            "actor": self.actor,
            "csrf": csrf_token(self.session) if self.session is not None else "",
            "here": self.visit.path.removeprefix(PREFIX),
            "prefix": PREFIX,
            "is_admin": self.accounts.is_admin,
        }
        return render.page(template, shared | context, status)

    def redirect(self, path: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        """See another page below our prefix."""
        return redirect(PREFIX + path, headers)

    # ── forms ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def changes(self) -> dict[str, str]:
        """The form of a page that was rendered for this session; raises Forbidden for any other."""
        if self.session is None or self.actor.is_anonymous:
            raise Unauthenticated("sign in to change this")
        form = await self.form()
        given = form.get(CSRF_FIELD, "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, csrf_token(self.session).encode()):
            raise Forbidden("this form is not from a page of this session: load the page again")
        return form

    async def form(self) -> dict[str, str]:
        """The fields of a form that our own site sent, signed in or not; of a repeated one the last value."""
        self._require_own_origin()
        if self.request.content_type != "application/x-www-form-urlencoded":
            raise Invalid("expected a form")
        body = bytearray()
        async for chunk in self.request.content.iter_any():
            body += chunk
            if len(body) > _LONGEST_FORM:
                raise TooLarge(f"a form has at most {_LONGEST_FORM} bytes")
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100, errors="strict")
        except ValueError as error:
            raise Invalid("the form cannot be read") from error
        return dict(fields)

    def _require_own_origin(self) -> None:
        """Refuse a form that another site's page sent, as far as the browser tells.

        Fetch Metadata is trusted where it is sent (https and loopback); elsewhere there is only Origin.
        """
        require_same_site(self.request.headers)
        origin = self.request.headers.get("Origin")
        if origin is None or "Sec-Fetch-Site" in self.request.headers:
            return
        ours = {self.request.headers.get("Host", "").lower(), urlsplit(self.visit.root).netloc.lower()}
        if urlsplit(origin).netloc.lower() not in ours:
            raise Forbidden("another site sent this form")


class UiRoute(Struct, frozen=True):
    """One method and path below `/-/ui/`."""

    method: str
    pattern: str
    handler: Callable[[UiCall], Awaitable[Answer]]
