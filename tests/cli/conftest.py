"""The command line in process, over one data folder, with one adapter of our own."""

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from gateway.adapter import Adapter
from gateway.cli.main import app
from gateway.errors import Invalid
from gateway.format import Ask, ErrorBody
from gateway.model import Listing


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


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def entrepot(data):
    """Call it with the words of a command line; returns Typer's result with `code`, `out` and `err`."""

    def run(*words, stdin=None, folder=data):
        result = CliRunner().invoke(app, [*map(str, words), "--data", str(folder)], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)

    return run
