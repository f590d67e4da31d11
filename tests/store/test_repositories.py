import pytest

from gateway.config import RepositoryConfig
from gateway.errors import Conflict, RepositoryUnknown
from gateway.model import Digest, Repository, RepositoryKey, Visibility
from gateway.store.packages import Packages
from gateway.store.repositories import Repositories
from gateway.store.rows import Edit, NewFileRow

KEY = RepositoryKey("pypi", "acme", "tools")
CONFIG = RepositoryConfig(
    layers=("hosted", "pypi"),
    visibility=Visibility.INTERNAL,
    reserve=("acme-*",),
    merge=("both",),
    hosts=("packages.example",),
    settings={"strict": True, "depth": 2},
)


async def test_a_repository_is_read_back_as_configured(repositories, database):
    made = await repositories.upsert(KEY, CONFIG, "config")

    assert made == Repository(
        made.id, KEY, CONFIG.layers, Visibility.INTERNAL, ("acme-*",), ("both",), ("packages.example",), CONFIG.settings
    )
    assert repositories.all() == [made]
    assert repositories.get(KEY) == made
    assert repositories.sources() == {KEY: "config"}


async def test_a_change_is_seen_elsewhere_and_the_same_again_changes_nothing(repositories, database, elsewhere):
    made = await repositories.upsert(KEY, CONFIG, "config")
    first = elsewhere.epoch("repositories")
    assert await repositories.upsert(KEY, CONFIG, "config") == made
    assert elsewhere.epoch("repositories") == first

    changed = await repositories.upsert(KEY, RepositoryConfig(), "config")

    assert changed.id == made.id
    assert elsewhere.epoch("repositories") > first
    assert Repositories(elsewhere).all() == [changed]


async def test_a_repository_with_published_files_is_not_removed_by_accident(repositories, packages):
    made = await repositories.upsert(KEY, CONFIG, "api")
    file = NewFileRow("tool-1.whl", "1", Digest.of(b"1"), 1, {}, {}, "2024-05-01T10:00:00Z")
    await packages.commit(made.id, "tool", [file], actor="ann")

    with pytest.raises(Conflict):
        await repositories.remove(KEY)
    await packages.edit(made.id, "tool", Edit(delete_package=True))
    await repositories.remove(KEY)

    assert repositories.all() == []
    assert packages.get(made.id, "tool") is None
    with pytest.raises(RepositoryUnknown):
        await repositories.remove(KEY)


async def test_what_was_remembered_of_a_removed_repository_is_not_believed_of_the_next_one(repositories, database):
    """SQLite would use the id again, under which processes and ledgers remember pages and names."""
    packages = Packages(database)
    made = await repositories.upsert(KEY, CONFIG, "api")
    await packages.claim(made.id, "tool")
    epoch = database.epoch(f"repository:{made.id}")

    await repositories.remove(KEY, with_packages=True)
    again = await repositories.upsert(RepositoryKey("npm", "evil", "web"), CONFIG, "api")

    assert again.id > made.id
    assert database.epoch(f"repository:{made.id}") > epoch
    assert packages.get(again.id, "tool") is None
