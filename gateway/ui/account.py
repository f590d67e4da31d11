"""What belongs to whoever signed in: tokens, and the audit trail."""

import time
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from gateway.errors import CodeRequired, GatewayError, Invalid, Throttled
from gateway.model import Assurance, Scope
from gateway.ui.call import UiCall
from gateway.web.answers import Answer

_SCOPES = {"read": Scope.READ, "write": Scope.WRITE, "delete": Scope.DELETE, "admin": Scope.ADMIN}
_DAYS = {"7": 7, "30": 30, "90": 90, "365": 365, "never": None}
_DAY = 86400.0
_FIELDS = ("name", *(f"scope_{word}" for word in _SCOPES), "days", "repositories", "packages", "cidrs", "automation")
_PROPOSED = {"scope_read": "1", "days": "30"}
_AUDIT_PAGE = 100
_FILTERS = ("actor", "action", "repository", "package")


async def tokens(call: UiCall) -> Answer:
    """The person's own tokens, and a form for a new one."""
    call.require_person()
    return await _tokens_page(call)


async def create_token(call: UiCall) -> Answer:
    """Make a token and show it, this once."""
    form = await call.changes()
    try:
        call.actor = await call.ui.authenticator.prove(call.actor, form.get("code", ""))
        scopes = [scope for word, scope in _SCOPES.items() if form.get(f"scope_{word}")]
        days = _DAYS.get(form.get("days", ""), 30)
        secret, _row = await call.accounts.create_token(
            name=form.get("name", ""),
            scopes=scopes,
            repositories=form.get("repositories", "").split(),
            packages=form.get("packages", "").split(),
            cidrs=form.get("cidrs", "").split(),
            expires_at=None if days is None else time.time() + days * _DAY,
            is_automation=bool(form.get("automation")),
        )
    except (Invalid, CodeRequired, Throttled) as error:
        return await _tokens_page(call, error=error, form=form)
    return await _tokens_page(call, secret=secret)


async def revoke_token(call: UiCall) -> Answer:
    """Revoke one of the person's tokens."""
    await call.changes()
    await call.accounts.revoke_token(int(call.path["id"]))
    return call.redirect("tokens")


async def audit(call: UiCall) -> Answer:
    """Who did what; of others only for administrators."""
    call.require_person()
    filters = {name: call.query[name] for name in _FILTERS if call.query.get(name)}
    asked = dict(filters)
    if not call.accounts.is_admin:
        asked["actor"] = call.actor.name
    before = call.query.get("before", "")
    entries = await call.services.audit.list(
        _AUDIT_PAGE,
        int(before) if before.isascii() and before.isdigit() and len(before) < 18 else None,
        actor=asked.get("actor"),
        action=asked.get("action"),
        repository=asked.get("repository"),
        package=asked.get("package"),
    )
    older = ""
    if len(entries) == _AUDIT_PAGE:
        older = "?" + urlencode({**filters, "before": entries[-1].id}, quote_via=quote)
    return call.page(
        "audit.html", entries=entries, filters={name: filters.get(name, "") for name in _FILTERS}, older=older
    )


async def _tokens_page(
    call: UiCall, secret: str = "", error: GatewayError | None = None, form: Mapping[str, str] | None = None
) -> Answer:
    """form: what was refused, to be mended instead of typed again; its code is of no more use."""
    return call.page(
        "tokens.html",
        status=200 if error is None else error.status,
        tokens=await call.accounts.tokens(),
        secret=secret,
        error="" if error is None else error.message,
        days=list(_DAYS),
        form={name: (_PROPOSED if form is None else form).get(name, "") for name in _FIELDS},
        needs_code=call.actor.assurance is not Assurance.UNASKED,
        now=time.time(),
    )
