"""From what somebody typed to what the catalogue has, or one clear complaint."""

from gateway.adapter import Adapter
from gateway.cli.frame import Data
from gateway.errors import Invalid, Unknown
from gateway.model import ActorKind, Repository, RepositoryKey
from gateway.store.rows import ActorRow, OrganisationRow, TeamRow


def actor(data: Data, name: str, kind: ActorKind | None = None) -> ActorRow:
    """The user or service of that name; raises Unknown."""
    row = data.identities.actor_by_name(name)
    if row is None or (kind is not None and row.kind is not kind):
        raise Unknown(f"there is no {kind or 'user or service'} {name}")
    return row


def organisation(data: Data, name: str) -> OrganisationRow:
    """The organisation of that name; raises Unknown."""
    row = data.identities.organisation(name)
    if row is None:
        raise Unknown(f"there is no organisation {name}")
    return row


def team(data: Data, text: str) -> TeamRow:
    """The team written as `organisation/team`; raises Unknown."""
    owner, _, name = text.partition("/")
    row = data.identities.team(owner, name)
    if row is None:
        raise Unknown(f"there is no team {text} (written as organisation/team)")
    return row


def repository_key(adapters: tuple[Adapter, ...], text: str) -> RepositoryKey:
    """The key written as `type/owner/repository`, an alias of the type included; raises Invalid."""
    key = RepositoryKey.parse(text)
    types = {name: a.type for a in adapters for name in (a.type, *a.aliases)}
    if key.type not in types:
        raise Invalid(f"unknown type {key.type} (known: {', '.join(sorted(types))})")
    return RepositoryKey(types[key.type], key.owner, key.name)


def repository(data: Data, adapters: tuple[Adapter, ...], text: str) -> Repository:
    """The repository written as `type/owner/repository`; raises Unknown or Invalid."""
    key = repository_key(adapters, text)
    found = data.repositories.get(key)
    if found is None:
        raise Unknown(f"there is no repository {key}")
    return found
