"""How each package manager is told to install through one registry, as a person would configure it.

A Python installer is a function `(world, index, requirements) -> Ran`, where `index` is a Simple API, with the
credentials in it if there are any; an npm one is `(world, base, token) -> None` that configures, and `NPM_INSTALL` the commands.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.clients.tools import Ran, World

PYPROJECT = """\
[project]
name = "consumer"
version = "0.0.1"
description = "installs things"
requires-python = "==3.11.*"
dependencies = []
"""


def pip_install(world: World, index: str, *requirements: str) -> Ran:
    """pip into a folder of its own."""
    options = ["--only-binary", ":all:", "--target", "site", "--index-url", index]
    return world.run("pip", "install", *options, *requirements)


def uv_install(world: World, index: str, *requirements: str) -> Ran:
    """`uv pip install` into a folder of its own."""
    options = ["--only-binary", ":all:", "--target", "site", "--default-index", index]
    return world.run("uv", "pip", "install", *options, *requirements)


def uv_project(world: World, index: str, *requirements: str) -> Ran:
    """`uv add`, which locks and syncs."""
    (world.work / "pyproject.toml").write_text(PYPROJECT)
    return world.run("uv", "add", *requirements, environment={"UV_DEFAULT_INDEX": index})


def poetry_project(world: World, index: str, *requirements: str) -> Ran:
    """`poetry add` with the registry as the only source."""
    plain, user, password = _split(index)
    source = f'[[tool.poetry.source]]\nname = "entrepot"\nurl = "{plain}"\npriority = "primary"\n'
    text, environment = f"{PYPROJECT}\n[tool.poetry]\npackage-mode = false\n\n{source}", {}
    if user:
        environment = {
            "POETRY_HTTP_BASIC_ENTREPOT_USERNAME": user,
            "POETRY_HTTP_BASIC_ENTREPOT_PASSWORD": password,
        }
    (world.work / "pyproject.toml").write_text(text)
    return world.run("poetry", "add", *requirements, environment=environment)


def pdm_project(world: World, index: str, *requirements: str) -> Ran:
    """`pdm add`, which locks and syncs; the project itself is not built."""
    (world.work / "pyproject.toml").write_text(PYPROJECT)
    return world.run("pdm", "add", "--no-self", *requirements, environment={"PDM_PYPI_URL": index})


PythonInstaller = Callable[..., Ran]
PYTHON_INSTALLERS: Mapping[str, PythonInstaller] = {
    "pip": pip_install,
    "uv pip": uv_install,
    "uv": uv_project,
    "poetry": poetry_project,
    "pdm": pdm_project,
}


def site(world: World) -> Path:
    """Where an installer of `PYTHON_INSTALLERS` has put the modules."""
    found = [world.work / "site", *world.work.glob(".venv/lib/python3.*/site-packages")]
    return next(folder for folder in found if folder.is_dir())


def installed_version(world: World, module: str) -> str:
    """The `__version__` of an installed module, as its interpreter sees it."""
    code = f"import sys; sys.path.insert(0, {str(site(world))!r}); import {module}; print({module}.__version__)"
    return world.python("-c", code).succeeded().stdout.strip()


def python_lock(world: World) -> dict[str, Any]:
    """The lock file's packages: `name version` → filename → digest."""
    for name in ("uv.lock", "poetry.lock", "pdm.lock"):
        if (world.work / name).exists():
            packages = tomllib.loads((world.work / name).read_text())["package"]
            return {f"{entry['name']} {entry['version']}": _locked_files(entry) for entry in packages}
    raise FileNotFoundError(f"no lock file in {world.work}")


def _locked_files(entry: Mapping[str, Any]) -> dict[str, str]:
    files = [*entry.get("files", ()), *entry.get("wheels", ()), *([entry["sdist"]] if "sdist" in entry else [])]
    return {str(file.get("file") or file["url"].rpartition("/")[2]): file["hash"] for file in files}


def _split(address: str) -> tuple[str, str, str]:
    """An address without its credentials, and these."""
    parts = urlsplit(address)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return plain, parts.username or "", parts.password or ""


def configure_npm(world: World, base: str, token: str) -> None:
    """Write the configuration of every npm client: one registry for everything, one token."""
    if not base:
        (world.home / ".yarnrc.yml").write_text("nodeLinker: node-modules\nenableScripts: false\n")
        return
    prefix = base.partition(":")[2]
    npmrc = f"registry={base}\n{prefix}:_authToken={token}\nalways-auth=true\n"
    (world.home / ".npmrc").write_text(npmrc)
    yarnrc = {
        "npmRegistryServer": base,
        "npmAuthToken": token,
        "npmAlwaysAuth": True,
        "unsafeHttpWhitelist": ["127.0.0.1"],
        "nodeLinker": "node-modules",
        "enableScripts": False,
        "npmPreapprovedPackages": ["@acme/*", "acme-*"],
    }
    (world.home / ".yarnrc.yml").write_text(yaml.safe_dump(yarnrc))
    (world.home / ".bunfig.toml").write_text(f'[install]\nregistry = {{ url = "{base}", token = "{token}" }}\n')


NPM_INSTALL: Mapping[str, tuple[str, ...]] = {
    "npm10": ("install", "--ignore-scripts"),
    "npm11": ("install", "--ignore-scripts"),
    "npm12": ("install", "--ignore-scripts"),
    "pnpm10": ("install", "--ignore-scripts"),
    "pnpm12": ("install", "--ignore-scripts"),
    "yarn1": ("install", "--ignore-scripts", "--non-interactive"),
    "yarn4": ("install",),
    "bun": ("install", "--ignore-scripts"),
}
NPM_FROZEN: Mapping[str, tuple[str, ...]] = {
    "npm10": ("ci", "--ignore-scripts"),
    "npm11": ("ci", "--ignore-scripts"),
    "npm12": ("ci", "--ignore-scripts"),
    "pnpm10": ("install", "--ignore-scripts", "--frozen-lockfile"),
    "pnpm12": ("install", "--ignore-scripts", "--frozen-lockfile"),
    "yarn1": ("install", "--ignore-scripts", "--non-interactive", "--frozen-lockfile"),
    "yarn4": ("install", "--immutable"),
    "bun": ("install", "--ignore-scripts", "--frozen-lockfile"),
}
NPM_LOCKS: Mapping[str, str] = {
    "npm10": "package-lock.json",
    "npm11": "package-lock.json",
    "npm12": "package-lock.json",
    "pnpm10": "pnpm-lock.yaml",
    "pnpm12": "pnpm-lock.yaml",
    "yarn1": "yarn.lock",
    "yarn4": "yarn.lock",
    "bun": "bun.lock",
}
