"""The root of the command line: every noun's commands, and the verbs that have no noun."""

from importlib.metadata import version
from typing import Annotated

import typer

from gateway.cli import access, ask, care, orgs, repos, server, users
from gateway.cli.frame import group

app = group("Entrepot: one package gateway for pip, npm, mvn, dotnet, gem and docker.")
app.add_typer(server.app)
app.add_typer(users.users, name="user")
app.add_typer(users.services, name="service")
app.add_typer(orgs.app, name="org")
app.add_typer(access.tokens, name="token")
app.add_typer(access.grants, name="grant")
app.add_typer(repos.app, name="repo")
app.add_typer(ask.app)
app.add_typer(care.cache, name="cache")
app.add_typer(care.app)


@app.callback()
def root(
    ctx: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
) -> None:
    """Entrepot: one package gateway for pip, npm, mvn, dotnet, gem and docker."""
    if show_version:
        typer.echo(f"entrepot {version('entrepot')}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
