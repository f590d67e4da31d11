"""The dashboard's addresses, and the way from a request to one of its pages."""

from urllib.parse import quote

from aiohttp import web

from gateway.errors import GatewayError, MethodNotAllowed, Unauthenticated
from gateway.model import Actor
from gateway.ui import account, browse, entrance, overview, render
from gateway.ui.call import UiCall, UiRoute, UiServices, Visit
from gateway.ui.places import PREFIX
from gateway.web.answers import Answer
from gateway.web.paths import RouteTable
from gateway.web.sessions import read_session


async def _style(_call: UiCall) -> Answer:
    return render.fixed("entrepot.css", "text/css; charset=utf-8")


async def _icon(_call: UiCall) -> Answer:
    return render.fixed("icon.svg", "image/svg+xml")


ROUTES = (
    UiRoute("GET", "", overview.overview),
    UiRoute("GET", "style.css", _style),
    UiRoute("GET", "icon.svg", _icon),
    UiRoute("GET", "sign-in", entrance.show_sign_in),
    UiRoute("POST", "sign-in", entrance.sign_in),
    UiRoute("POST", "sign-out", entrance.sign_out),
    UiRoute("GET", "claim/{secret}", entrance.show_claim),
    UiRoute("POST", "claim/{secret}", entrance.claim),
    UiRoute("GET", "login/{link}", entrance.show_login),
    UiRoute("POST", "login/{link}", entrance.approve_login),
    UiRoute("GET", "upstreams", overview.upstreams),
    UiRoute("GET", "repositories", browse.repositories),
    UiRoute("GET", "repositories/{type}/{owner}/{repository}", browse.repository),
    UiRoute("GET", "repositories/{type}/{owner}/{repository}/packages/{package*}", browse.package),
    UiRoute("GET", "tokens", account.tokens),
    UiRoute("POST", "tokens", account.create_token),
    UiRoute("POST", "tokens/{id:[0-9]{1,18}}/revoke", account.revoke_token),
    UiRoute("GET", "audit", account.audit),
)
_TABLE = RouteTable(ROUTES)


async def dispatch(ui: UiServices, request: web.BaseRequest, visit: Visit) -> Answer:
    """The page for a request below `/-/ui/`; errors are pages, and who must sign in is sent there."""
    session = read_session(request.headers)
    actor = _actor(ui, visit, session)
    if actor is None:
        actor, session = visit.actor, None
    call = UiCall(ui, request, visit, {}, actor, session)
    try:
        match = _TABLE.find(request.method, visit.path.removeprefix(PREFIX))
        call.path = match.captures
        return await match.route.handler(call)
    except Unauthenticated as error:
        if request.method in {"GET", "HEAD"}:
            return call.redirect(f"sign-in?next={quote(visit.path, safe='')}")
        return _failed(call, error)
    except GatewayError as error:
        return _failed(call, error)


def _actor(ui: UiServices, visit: Visit, session: str | None) -> Actor | None:
    """Whose session it is; None without a good one. A session is only ever read where no other credential is."""
    if session is None or not visit.actor.is_anonymous:
        return None
    return ui.authenticator.session_actor(session, visit.address)


def _failed(call: UiCall, error: GatewayError) -> Answer:
    answer = call.page("message.html", status=error.status, title=_title(error), message=error.message)
    if isinstance(error, MethodNotAllowed):
        answer.headers = (*answer.headers, ("Allow", error.allowed))
    if error.retry_after is not None:
        answer.headers = (*answer.headers, ("Retry-After", str(max(1, round(error.retry_after)))))
    return answer


def _title(error: GatewayError) -> str:
    return error.code.replace("_", " ").capitalize()
