"""A migrated catalogue in a temporary folder, and the stores on top of it."""

import pytest

from gateway.config import RepositoryConfig
from gateway.model import RepositoryKey
from gateway.store.blob_rows import BlobRows
from gateway.store.database import Database
from gateway.store.documents import DocumentRows
from gateway.store.identities import Identities
from gateway.store.packages import Packages
from gateway.store.repositories import Repositories


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "catalogue.sqlite")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def elsewhere(database):
    """The same catalogue as another process sees it."""
    other = Database(database.path)
    yield other
    other.close()


@pytest.fixture
def repositories(database):
    return Repositories(database)


@pytest.fixture
def packages(database):
    return Packages(database)


@pytest.fixture
def documents(database):
    return DocumentRows(database)


@pytest.fixture
def blob_rows(database):
    return BlobRows(database)


@pytest.fixture
def identities(database):
    return Identities(database)


@pytest.fixture
async def tools(repositories):
    """The repository pypi/acme/tools."""
    return await repositories.upsert(RepositoryKey("pypi", "acme", "tools"), RepositoryConfig(), "config")


@pytest.fixture
async def other(repositories):
    """The repository npm/acme/web."""
    return await repositories.upsert(RepositoryKey("npm", "acme", "web"), RepositoryConfig(), "config")
