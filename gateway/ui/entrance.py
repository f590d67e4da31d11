"""Coming in and going out: sign-in, sign-out, the first-start claim, and the approval of command-line logins."""

import re

from gateway.auth.claim import CLAIM_KIND, redeem_claim
from gateway.auth.tokens import sha256
from gateway.errors import CodeRequired, Conflict, Forbidden, GatewayError, Invalid, Throttled, Unauthenticated
from gateway.ui.call import UiCall
from gateway.ui.places import PREFIX
from gateway.web.answers import Answer
from gateway.web.sessions import ended_cookie, session_cookie

_NEXT = re.compile(r"/-/ui/[A-Za-z0-9@._~:+/-]{0,500}\Z")


async def show_sign_in(call: UiCall) -> Answer:
    """The form for name and password."""
    return _sign_in_form(call, call.query.get("next", ""))


async def sign_in(call: UiCall) -> Answer:
    """Begin a session; the old one, if there was one, ends, so that nobody can have planted it."""
    form = await call.form()
    next_ = form.get("next", "")
    try:
        secret = await call.ui.sign_in.sign_in(
            form.get("name", ""), form.get("password", ""), call.visit.address, form.get("code", "")
        )
    except (Unauthenticated, CodeRequired, Throttled) as error:
        return _sign_in_form(call, next_, error, form.get("name", ""))
    if call.session is not None:
        await call.ui.sign_in.sign_out(call.session)
    target = next_ if _NEXT.match(next_) else PREFIX
    return call.redirect(target.removeprefix(PREFIX), (("Set-Cookie", _cookie(call, secret)),))


async def sign_out(call: UiCall) -> Answer:
    """End the session."""
    await call.changes()
    assert call.session is not None
    await call.ui.sign_in.sign_out(call.session)
    return call.redirect("sign-in", (("Set-Cookie", ended_cookie(is_secure=call.visit.is_secure)),))


async def show_claim(call: UiCall) -> Answer:
    """The form of the first start; opening the link uses nothing up."""
    _require_claim(call)
    return call.page("claim.html", error="", name="")


async def claim(call: UiCall) -> Answer:
    """Make whoever holds the link the administrator, and sign them in."""
    _require_claim(call)
    form = await call.form()
    name, password = form.get("name", ""), form.get("password", "")
    if password != form.get("again", ""):
        return call.page("claim.html", status=400, error="the two passwords differ", name=name)
    try:
        await redeem_claim(
            call.services.identities,
            call.services.audit,
            call.path["secret"],
            name,
            password,
            email=form.get("email", ""),
            address=call.visit.address,
        )
    except (Invalid, Conflict) as error:
        return call.page("claim.html", status=error.status, error=error.message, name=name)
    secret = await call.ui.sign_in.sign_in(name, password, call.visit.address)
    return call.redirect("", (("Set-Cookie", _cookie(call, secret)),))


async def show_login(call: UiCall) -> Answer:
    """Who wants to sign in through this browser; nothing happens by looking."""
    call.require_person()
    pending = call.ui.web_logins.pending(call.path["link"])
    return call.page("web_login.html", pending=pending, link=call.path["link"])


async def approve_login(call: UiCall) -> Answer:
    """Let the waiting client act as this person."""
    await call.changes()
    await call.ui.web_logins.approve(call.path["link"], call.actor)
    return call.page("message.html", title="Approved", message="You can close this page: the client is signed in now.")


def _require_claim(call: UiCall) -> None:
    """Refuse a link that is no good before anybody types a password into its form."""
    session = call.services.identities.session(sha256(call.path["secret"]))
    if session is None or session.kind != CLAIM_KIND:
        failure = call.ui.authenticator.failure(call.visit.address, "this link is not good, or was used already")
        raise failure if isinstance(failure, Throttled) else Forbidden(failure.message)


def _sign_in_form(call: UiCall, next_: str, error: GatewayError | None = None, name: str = "") -> Answer:
    status, message = (200, "") if error is None else (error.status, error.message)
    return call.page("sign_in.html", status=status, next=next_, error=message, name=name)


def _cookie(call: UiCall, secret: str) -> str:
    return session_cookie(secret, max_age=call.ui.sign_in.session_seconds, is_secure=call.visit.is_secure)
