"""`entrepot user` and `entrepot service`: those who can sign in or hold tokens."""

import sys
from typing import Annotated

import typer

from gateway.auth import passwords
from gateway.auth.authenticate import SESSION_KIND
from gateway.auth.patterns import check_email
from gateway.cli import lookups
from gateway.cli.frame import Data, command, group
from gateway.cli.output import moment, remark, say, table
from gateway.errors import Invalid, Unknown
from gateway.model import ActorKind

users = group("Users: people who sign in.")
otp = group("One-time codes: a second factor for what a user writes, and for signing in.")
services = group("Services: machines that hold tokens.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name, also the owner of its repositories.")]


@command(users, "create")
async def create_user(
    data: Data,
    name: _Name,
    email: Annotated[str | None, typer.Option(metavar="EMAIL", help="E-mail address.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="May do everything, everywhere.")] = False,
    password: Annotated[bool, typer.Option("--password", help="Ask for a password (or read it from a pipe).")] = False,
) -> None:
    """Create a user; without a password it can only use tokens."""
    hashed = await passwords.hash(_ask_password()) if password else None
    row = await data.identities.create_actor(
        ActorKind.USER, name, email=check_email(email), password_hash=hashed, is_admin=admin
    )
    await data.note("user.create", name=row.name, is_admin=admin)
    remark(f"created user {row.name}")


@command(users, "list")
async def list_users(data: Data) -> None:
    """List users."""
    await _list(data, ActorKind.USER)


@command(users, "disable")
async def disable_user(data: Data, name: _Name) -> None:
    """Disable a user: its tokens, sessions and grants are worth nothing until it is enabled again."""
    await _enable(data, name, ActorKind.USER, is_disabled=True)


@command(users, "enable")
async def enable_user(data: Data, name: _Name) -> None:
    """Enable a disabled user again."""
    await _enable(data, name, ActorKind.USER, is_disabled=False)


@command(users, "password")
async def set_password(data: Data, name: _Name) -> None:
    """Set a user's password (asked for, or read from a pipe) and end its dashboard sessions."""
    row = lookups.actor(data, name, ActorKind.USER)
    hashed = await passwords.hash(_ask_password())
    await data.identities.update_actor(row.id, {"password_hash": hashed})
    await data.identities.delete_sessions_of(row.id, SESSION_KIND)
    await data.note("user.password", name=row.name)
    remark(f"{row.name} has a new password")


@command(otp, "enable")
async def enable_otp(data: Data, name: _Name) -> None:
    """Ask a user for one-time codes from now on, and print the secret for their authenticator, once; sessions end."""
    from gateway.auth import codes  # noqa: PLC0415 so that other commands start without it

    row, secret = lookups.actor(data, name, ActorKind.USER), codes.new_secret()
    await data.identities.put_code_secret(row.id, secret)
    await data.identities.delete_sessions_of(row.id, SESSION_KIND)
    await data.note("code.enable", name=row.name)
    remark(f"{row.name} needs one-time codes now; the secret is shown only this once:")
    say(secret)
    say(codes.address_of(secret, row.name))


@command(otp, "disable")
async def disable_otp(data: Data, name: _Name) -> None:
    """Ask a user for no more one-time codes, as after a lost authenticator; automation tokens stay as they are."""
    row = lookups.actor(data, name, ActorKind.USER)
    if not await data.identities.delete_code_secret(row.id):
        raise Unknown(f"{row.name} has no one-time codes")
    await data.note("code.disable", name=row.name)
    remark(f"{row.name} needs no one-time codes any more")


users.add_typer(otp, name="otp")


@command(services, "create")
async def create_service(data: Data, name: _Name) -> None:
    """Create a service; give it grants and tokens."""
    row = await data.identities.create_actor(ActorKind.SERVICE, name)
    await data.note("service.create", name=row.name)
    remark(f"created service {row.name}")


@command(services, "list")
async def list_services(data: Data) -> None:
    """List services."""
    await _list(data, ActorKind.SERVICE)


@command(services, "disable")
async def disable_service(data: Data, name: _Name) -> None:
    """Disable a service: its tokens are worth nothing until it is enabled again."""
    await _enable(data, name, ActorKind.SERVICE, is_disabled=True)


@command(services, "enable")
async def enable_service(data: Data, name: _Name) -> None:
    """Enable a disabled service again."""
    await _enable(data, name, ActorKind.SERVICE, is_disabled=False)


async def _list(data: Data, kind: ActorKind) -> None:
    rows = [row for row in await data.identities.actors() if row.kind is kind]
    table(
        ("NAME", "STATE", "ROLE", "EMAIL", "CREATED"),
        (
            (
                row.name,
                "disabled" if row.is_disabled else "active",
                "admin" if row.is_admin else "",
                row.email,
                moment(row.created_at),
            )
            for row in rows
        ),
    )


async def _enable(data: Data, name: str, kind: ActorKind, *, is_disabled: bool) -> None:
    row = lookups.actor(data, name, kind)
    await data.identities.update_actor(row.id, {"is_disabled": is_disabled})
    verb = "disable" if is_disabled else "enable"
    await data.note(f"{kind}.{verb}", name=row.name)
    remark(f"{verb}d {kind} {row.name}")


def _ask_password() -> str:
    """A password from the terminal, typed twice, or the first line of a pipe; never from the command line."""
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not password:
        raise Invalid("no password was given")
    passwords.check(password)
    return password
