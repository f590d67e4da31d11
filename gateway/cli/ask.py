"""`entrepot explain`, `snippet` and `claim`: answers for people who set clients up or wonder why."""

from typing import Annotated

import typer

from gateway.adapter import Adapter, SnippetContext, load_adapters
from gateway.auth.claim import ensure_claim
from gateway.cli import lookups
from gateway.cli.frame import Data, command, group, require_catalogue
from gateway.cli.output import complain, facts, remark, say, table
from gateway.compose import address_of, open_services, prepare
from gateway.config import Config
from gateway.errors import Invalid
from gateway.explain import explain as explained
from gateway.model import RepositoryKey, Visibility

app = group()


@command(app, "explain")
async def explain(
    config: Config,
    type_: Annotated[str, typer.Argument(metavar="TYPE")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/REPOSITORY")],
    package: Annotated[str, typer.Argument(metavar="PACKAGE")],
) -> None:
    """Say which layer answers for a package, and why; asks upstreams as a client's read would."""
    require_catalogue(config)
    adapters = load_adapters()
    key = lookups.repository_key(adapters, f"{type_}/{repository}")
    await prepare(config, adapters)
    async with open_services(config, adapters) as services:
        story = await explained(services, key, package)
    facts(
        (
            ("repository", story.repository),
            ("package", story.package),
            ("owner mode", f"{story.owner_mode} ({story.why})"),
            ("freshness", story.freshness or "nobody answered"),
            ("versions seen", story.versions_seen),
        )
    )
    for version, reason in story.versions_hidden.items():
        say(f"hidden {version}: {reason}")
    table(("LAYER", "KIND", "VERDICT", "DETAIL"), ((s.layer, s.kind, s.verdict, s.detail) for s in story.steps))


@command(app, "snippet")
def snippet(
    data: Data,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="pip, uv, npm, …")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/REPOSITORY")],
) -> None:
    """Print a client's configuration for a repository."""
    adapters = load_adapters()
    adapter = _speaking(adapters, client)
    key = RepositoryKey.parse(f"{adapter.type}/{repository}")
    found = data.repositories.get(key)
    root = f"{address_of(data.config)}/"
    host = root.split("/")[2]
    context = SnippetContext(
        f"{root}{key}/", host, key.owner, key.name, found is not None and found.visibility is Visibility.PUBLIC
    )
    if found is None:
        complain(f"there is no repository {key} yet")
    for line in adapter.snippets[client](context).splitlines():
        say(line)


@command(app, "claim")
async def claim(data: Data) -> int:
    """Print the one-time link that makes its first visitor the administrator."""
    path = await ensure_claim(data.config.data, data.identities, f"{address_of(data.config)}/")
    if path is None:
        complain("somebody administers this installation already")
        return 1
    say(path.read_text(encoding="utf-8").strip())
    remark(f"good for a day and for one use; also in {path}")
    return 0


def _speaking(adapters: tuple[Adapter, ...], client: str) -> Adapter:
    for adapter in adapters:
        if client in adapter.snippets:
            return adapter
    known = sorted(name for adapter in adapters for name in adapter.snippets)
    raise Invalid(f"unknown client {client!r} (known: {', '.join(known)})")
