"""How each tool publishes a Python package, as a person would: `(world, project, address, token) -> Ran`.

A `Project` is a source tree with its built files beside it. Most tools upload those; flit builds its own from the
sources, reproducibly.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clients.tools import Ran, World
from tests.fakes.artifacts import sdist, wheel

_PYPROJECT = """\
[project]
name = "{name}"
version = "{version}"
description = "{name} for tests"
readme = "README.md"
requires-python = ">=3.9"

[build-system]
requires = ["flit_core >=3.2,<5"]
build-backend = "flit_core.buildapi"
"""


@dataclass(frozen=True, slots=True)
class Project:
    """A package's sources in `folder`, and its wheel and sdist in `folder/dist`."""

    folder: Path
    name: str
    version: str

    @property
    def module(self) -> str:
        return self.name.replace("-", "_")

    @property
    def files(self) -> list[Path]:
        return sorted((self.folder / "dist").iterdir())


def make_project(world: World, name: str = "acme-tool", version: str = "1.0", content: str = "") -> Project:
    """A project below the world's work folder; another `content` makes other files of the same names."""
    folder = world.work / f"{name}-{version}"
    shutil.rmtree(folder, ignore_errors=True)
    project = Project(folder, name, version)
    (folder / project.module).mkdir(parents=True)
    (folder / "dist").mkdir()
    (folder / "pyproject.toml").write_text(_PYPROJECT.format(name=name, version=version))
    (folder / "README.md").write_text(f"# {name}\n")
    (folder / project.module / "__init__.py").write_text(f'"""{content}"""\n__version__ = "{version}"\n')
    extra = {f"{project.module}/content.txt": content.encode()}
    for recipe in (wheel(files=extra, requires_python=">=3.9"), sdist(files=extra, requires_python=">=3.9")):
        artifact = recipe.build(name, version)
        (folder / "dist" / artifact.filename).write_bytes(artifact.body)
    return project


def twine(version: str) -> Callable[[World, Project, str, str], Ran]:
    """twine of the major version `twine6` or `twine7`."""

    def publish(world: World, project: Project, address: str, token: str) -> Ran:
        credentials = ["--username", "__token__", "--password", token]
        options = ["--non-interactive", "--disable-progress-bar", "--repository-url", f"{address}legacy/"]
        return world.run(version, "upload", *options, *credentials, *project.files)

    return publish


def uv(world: World, project: Project, address: str, token: str) -> Ran:
    environment = {"UV_PUBLISH_TOKEN": token}
    return world.run("uv", "publish", "--publish-url", f"{address}legacy/", *project.files, environment=environment)


def poetry(world: World, project: Project, address: str, token: str) -> Ran:
    environment = {
        "POETRY_REPOSITORIES_ACME_URL": f"{address}legacy/",
        "POETRY_HTTP_BASIC_ACME_USERNAME": "__token__",
        "POETRY_HTTP_BASIC_ACME_PASSWORD": token,
    }
    return world.run("poetry", "publish", "--repository", "acme", cwd=project.folder, environment=environment)


def pdm(world: World, project: Project, address: str, token: str) -> Ran:
    credentials = ["--username", "__token__", "--password", token]
    command = ["publish", "--no-build", "--repository", f"{address}legacy/", *credentials]
    return world.run("pdm", *command, cwd=project.folder)


def hatch(world: World, project: Project, address: str, token: str) -> Ran:
    options = ["--no-prompt", "--repo", f"{address}legacy/", "--user", "__token__", "--auth", token]
    return world.run("hatch", "publish", *options, *project.files, cwd=project.folder)


def flit(world: World, project: Project, address: str, token: str) -> Ran:
    environment = {
        "FLIT_INDEX_URL": f"{address}legacy/",
        "FLIT_USERNAME": "__token__",
        "FLIT_PASSWORD": token,
        "SOURCE_DATE_EPOCH": "1704164646",
    }
    return world.run("flit", "publish", "--no-use-vcs", cwd=project.folder, environment=environment)


Publisher = Callable[[World, Project, str, str], Ran]
PUBLISHERS: Mapping[str, Publisher] = {
    "twine7": twine("twine7"),
    "twine6": twine("twine6"),
    "uv": uv,
    "poetry": poetry,
    "pdm": pdm,
    "hatch": hatch,
    "flit": flit,
}
