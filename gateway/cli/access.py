"""`entrepot token` and `entrepot grant`: who may do what."""

import time
from typing import Annotated

import typer

from gateway.auth import tokens as minting
from gateway.auth.access import ROLES, check_cidr
from gateway.auth.patterns import check_label, check_package_pattern, check_patterns, check_repository_pattern
from gateway.auth.token_accounts import check_automation
from gateway.cli import lookups
from gateway.cli.frame import Data, command, group, shell_user
from gateway.cli.output import is_terminal, moment, remark, say, table
from gateway.errors import Invalid, Unknown
from gateway.model import ActorKind, Scope
from gateway.store.rows import GrantRow

tokens = group("Tokens: secrets for clients, never more than their user's rights.")
grants = group("Grants: roles on repositories and packages.")

_SCOPES = {"read": Scope.READ, "write": Scope.WRITE, "delete": Scope.DELETE} | {str(scope): scope for scope in Scope}
_DAY = 86400.0

_User = Annotated[str, typer.Option("--user", metavar="NAME", help="The user or service it belongs to.")]
_Id = Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")]


@command(tokens, "create")
async def create_token(
    data: Data,
    user: _User,
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="SCOPE", help="read, write, delete or admin; more than once for several. Default: read."),
    ] = None,
    expires_in: Annotated[float | None, typer.Option(metavar="DAYS", help="Days it is good for.")] = None,
    repository: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Only these repositories: type/owner/name with *.")
    ] = None,
    package: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Only these packages, by canonical name with *.")
    ] = None,
    cidr: Annotated[list[str] | None, typer.Option(metavar="NETWORK", help="Only from these networks.")] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="What it is for.")] = "made in a shell",
    automation: Annotated[
        bool, typer.Option("--automation", help="Writes without a one-time code, for a user who has them.")
    ] = False,
) -> None:
    """Create a token and print it, once: only its hash is kept."""
    row = lookups.actor(data, user)
    repositories, packages, cidrs = check_patterns(repository or (), package or (), cidr or ())
    if expires_in is not None and expires_in <= 0:
        raise Invalid("--expires-in: expected days above 0")
    scopes = _scopes(scope or ["read"])
    if automation:
        check_automation(row, scopes)
    secret = minting.mint()
    token = await data.identities.create_token(
        row.id,
        sha256=minting.sha256(secret),
        hint=minting.hint(secret),
        name=check_label(name),
        scopes=scopes,
        repositories=repositories,
        packages=packages,
        cidrs=cidrs,
        expires_at=None if expires_in is None else time.time() + expires_in * _DAY,
        is_automation=automation,
    )
    await data.note("token.create", owner=row.name, id=token.id, scopes=sorted(map(str, token.scopes)))
    if is_terminal():
        remark(f"Token {token.id} of {row.name}; it is shown only now:")
    say(secret)


@command(tokens, "list")
async def list_tokens(data: Data, user: Annotated[str | None, typer.Option("--user", metavar="NAME")] = None) -> None:
    """List tokens, never their secrets."""
    names = {row.id: row.name for row in await data.identities.actors()}
    rows = await data.identities.tokens(None if user is None else lookups.actor(data, user).id)
    table(
        ("ID", "USER", "NAME", "BEGINS", "SCOPES", "ONLY", "EXPIRES", "LAST USED"),
        (
            (
                row.id,
                names.get(row.actor_id, ""),
                row.name,
                row.hint,
                " ".join(sorted(map(str, row.scopes))),
                " ".join((*row.repositories, *row.packages, *row.cidrs)),
                moment(row.expires_at),
                moment(row.last_used_at),
            )
            for row in rows
        ),
    )


@command(tokens, "revoke")
async def revoke_token(data: Data, id_: _Id) -> None:
    """Revoke a token; every worker refuses it from its next request on."""
    if not await data.identities.delete_token(id_):
        raise Unknown(f"there is no token {id_}")
    await data.note("token.revoke", id=id_)
    remark(f"revoked token {id_}")


@command(grants, "add")
async def add_grant(
    data: Data,
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="A user, a service, organisation/team, anonymous or everyone.")
    ],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="read, write, delete or admin.")],
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="type/owner/name with *, or *.")],
    package: Annotated[str, typer.Option(metavar="PATTERN", help="Only packages of these canonical names.")] = "*",
    cidr: Annotated[str | None, typer.Option(metavar="NETWORK", help="Only from this network.")] = None,
) -> None:
    """Give a role on repositories, or on some of their packages."""
    if role not in ROLES:
        raise Invalid(f"expected the role {', '.join(ROLES)}, got {role!r}")
    kind, id_ = _subject(data, subject)
    row = await data.identities.create_grant(
        subject_kind=kind,
        subject_id=id_,
        role=role,
        repository=check_repository_pattern(repository),
        package=check_package_pattern(package),
        cidr=None if cidr is None else check_cidr(cidr),
        created_by=shell_user(),
    )
    await data.note("grant.create", repository, package, subject=subject, role=role, id=row.id)
    remark(f"grant {row.id}: {subject} may {role} {repository}" + (f" {package}" if package != "*" else ""))


@command(grants, "list")
async def list_grants(data: Data) -> None:
    """List grants."""
    names: dict[tuple[str, int | None], str] = {
        (str(row.kind), row.id): row.name for row in await data.identities.actors()
    }
    names |= {("team", row.id): f"{row.organisation}/{row.name}" for row in await data.identities.teams()}
    rows = await data.identities.grants()
    table(
        ("ID", "SUBJECT", "ROLE", "REPOSITORY", "PACKAGE", "NETWORK"),
        ((row.id, _named(names, row), row.role, row.repository, row.package, row.cidr) for row in rows),
    )


@command(grants, "remove")
async def remove_grant(data: Data, id_: _Id) -> None:
    """Take a grant back."""
    if not await data.identities.delete_grant(id_):
        raise Unknown(f"there is no grant {id_}")
    await data.note("grant.delete", id=id_)
    remark(f"removed grant {id_}")


def _scopes(words: list[str]) -> set[Scope]:
    split = [word.strip() for text in words for word in text.split(",")]
    for word in split:
        if word not in _SCOPES:
            raise Invalid(f"--scope: expected read, write, delete or admin, got {word!r}")
    return {_SCOPES[word] for word in split}


def _subject(data: Data, text: str) -> tuple[str, int | None]:
    if text in {"anonymous", "everyone"}:
        return text, None
    if "/" in text:
        return "team", lookups.team(data, text).id
    row = lookups.actor(data, text)
    return ("service" if row.kind is ActorKind.SERVICE else "user"), row.id


def _named(names: dict[tuple[str, int | None], str], row: GrantRow) -> str:
    return names.get((row.subject_kind, row.subject_id), row.subject_kind)
