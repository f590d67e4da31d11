import pytest

from tests.auth.world import World, cheapen_passwords, open_catalogue


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch):
    cheapen_passwords(monkeypatch)


@pytest.fixture
async def world(tmp_path):
    database = open_catalogue(tmp_path)
    yield World(database)
    database.close()
