"""The command line in process, over one data folder, with one adapter of our own."""

import shutil
from types import SimpleNamespace

import pytest
from argon2 import PasswordHasher
from typer.testing import CliRunner

from gateway.adapter import Adapter
from gateway.auth import passwords
from gateway.cli.main import app
from gateway.errors import Invalid
from gateway.format import Ask, ErrorBody
from gateway.model import Listing
from gateway.store.database import Database


class PlainFormat:
    """An ecosystem whose canonical names are lower case and whose documents are never parsed."""

    def normalize(self, package):
        if not package.isascii() or " " in package:
            raise Invalid(f"not a name: {package!r}")
        return package.lower()

    def ask_listing(self, package):
        return Ask(f"{package}/")

    def parse_listing(self, package, _document, _origin, _hosts):
        return Listing(package, ())

    def merge(self, hosted, _upstream):
        return hosted

    def render_error(self, error, _accept):
        return ErrorBody(error.message.encode(), "text/plain")

    def sidecar_url(self, _file, _kind):
        return None

    def abandoned(self, _package, files, now):  # noqa: ARG002 the core says it by name
        return [file.filename for file in files if file.filename.startswith("left-")]


ADAPTER = Adapter(
    type="pypi",
    format=PlainFormat(),
    routes=(),
    upstream="pypi",
    title="Python packages",
    aliases=("python",),
    snippets={"pip": lambda context: f"[global]\nindex-url = {context.base}simple/"},
)


@pytest.fixture(autouse=True)
def _adapters(monkeypatch):
    monkeypatch.setattr("gateway.adapter.entry_points", lambda **_: [SimpleNamespace(load=lambda: ADAPTER)])
    monkeypatch.delenv("ENTREPOT_CONFIG", raising=False)


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory):
    """An empty catalogue, made once: migrating takes longer than a test."""
    path = tmp_path_factory.mktemp("empty") / "catalogue.sqlite"
    database = Database(path)
    database.migrate()
    database.close()
    return path


@pytest.fixture
def data(tmp_path):
    """The data folder; the first command makes it."""
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def _quick(monkeypatch, catalogue):
    """Begin a missing catalogue as a copy, and do not ask Alembic again; the real way has tests of its own."""

    def migrate(self):
        if not self.path.exists():
            shutil.copy(catalogue, self.path)

    monkeypatch.setattr(Database, "migrate", migrate)
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def entrepot(data):
    """Call it with the words of a command line; returns Typer's result with `code`, `out` and `err`."""

    def run(*words, stdin=None, folder=data):
        result = CliRunner().invoke(app, [*map(str, words), "--data", str(folder)], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)

    return run
