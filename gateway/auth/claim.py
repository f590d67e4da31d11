"""The first start: no default password, but a link that makes its first visitor the administrator, once.

The link lies in the data folder, readable by its owner only; the catalogue has only the hash of its secret. It ends
after a day, or with the first user; each start without a user leaves one good link in the file.
"""

import asyncio
import os
import secrets
import time
from pathlib import Path

from gateway.auth import passwords, tokens
from gateway.auth.patterns import check_email
from gateway.errors import Conflict, Forbidden
from gateway.model import ActorKind, RepositoryKey, Scope
from gateway.store.audit import Audit
from gateway.store.identities import Identities
from gateway.store.rows import AuditEntry, SessionRow

CLAIM_KIND = "claim"
CLAIM_PATH = "-/ui/claim/"
_SECONDS = 24 * 3600.0


async def ensure_claim(data: Path, identities: Identities, public_url: str) -> Path | None:
    """Write `<data>/claim` with a one-time link and return its path; None once anybody administers this installation.

    public_url: our external address. A link that is still good is kept. Call it once, before workers start.
    """
    path = data / "claim"
    if await _is_claimed(identities):
        await asyncio.to_thread(path.unlink, missing_ok=True)
        return None
    if not _is_good(await asyncio.to_thread(_read, path), identities):
        for session in await identities.sessions(CLAIM_KIND):
            await identities.delete_session(session.sha256)
        secret = secrets.token_urlsafe(32)
        await identities.put_session(SessionRow(tokens.sha256(secret), CLAIM_KIND, None, {}, time.time() + _SECONDS))
        await asyncio.to_thread(_write, path, f"{public_url.rstrip('/')}/{CLAIM_PATH}{secret}\n")
    return path


async def redeem_claim(
    identities: Identities, audit: Audit, secret: str, name: str, password: str, *, email: str = "", address: str = ""
) -> str:
    """Make `name` the first administrator and return a token with all scopes; of all who try at once, one succeeds.

    Raises Forbidden for a secret that is not good (any more), and Invalid, which leaves the claim as it was.
    """
    refused = Forbidden("this link is not good, or was used already")
    if (session := identities.session(tokens.sha256(secret))) is None or session.kind != CLAIM_KIND:
        raise refused
    RepositoryKey.checked("", name, name)
    checked_email = check_email(email)
    hashed = await passwords.hash(password)
    taken = await identities.take_session(session.sha256, CLAIM_KIND)
    if taken is None:
        raise refused
    if await _is_claimed(identities):
        raise Conflict("somebody administers this installation already")
    try:
        row = await identities.create_actor(
            ActorKind.USER, name, email=checked_email, password_hash=hashed, is_admin=True
        )
    except BaseException:
        await identities.put_session(taken)
        raise
    token = tokens.mint()
    await identities.create_token(
        row.id, sha256=tokens.sha256(token), hint=tokens.hint(token), name="first start", scopes=frozenset(Scope)
    )
    await audit.append([AuditEntry(time.time(), row.name, "claim.redeem", address=address)])
    return token


async def _is_claimed(identities: Identities) -> bool:
    return any(row.is_admin for row in await identities.actors())


def _is_good(link: str, identities: Identities) -> bool:
    """Whether the link in the file still works."""
    session = identities.session(tokens.sha256(link.strip().rpartition("/")[2]))
    return session is not None and session.kind == CLAIM_KIND


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whatever was there before (a link is not followed)."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
