"""Real wheels, sdists and npm tarballs, built in memory from a short description.

A recipe says what is in an artifact; `recipe.build(name, version)` gives its bytes, the same bytes every time:

    wheel(requires_dist=("idna",)).build("acme-tool", "1.0").body
    tarball(dependencies={"left-pad": "^1"}).build("@acme/tool", "1.0.0").facts["dist"]
"""

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_MOMENT = (2024, 1, 2, 3, 4, 6)
_SECONDS = 1704164646  # the same moment, for tar archives


@dataclass(frozen=True, slots=True)
class Artifact:
    """A built artifact. metadata: the METADATA of a wheel or PKG-INFO of an sdist; facts: a tarball's version object."""

    filename: str
    body: bytes
    metadata: bytes | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def sha1(self) -> str:
        return hashlib.sha1(self.body, usedforsecurity=False).hexdigest()

    @property
    def integrity(self) -> str:
        """Subresource Integrity, as npm writes it."""
        return "sha512-" + base64.b64encode(hashlib.sha512(self.body).digest()).decode()


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build. requires_python and yanked also go onto the simple page; deprecated into the packument."""

    build: Callable[[str, str], Artifact]
    requires_python: str | None = None
    yanked: bool | str = False
    uploaded_at: str = "2024-01-02T03:04:06.000000Z"


def wheel(
    *,
    tag: str = "py3-none-any",
    requires_python: str | None = None,
    requires_dist: tuple[str, ...] = (),
    metadata: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    yanked: bool | str = False,
    size: int = 0,
    description: str = "",
) -> Recipe:
    """A wheel with one module that has `__version__`. size: bytes of incompressible ballast in it."""

    def build(name: str, version: str) -> Artifact:
        module = _module(name)
        info = f"{module}-{version}.dist-info"
        about = core_metadata(name, version, requires_python, requires_dist, metadata, description)
        content = {
            f"{module}/__init__.py": f'__version__ = "{version}"\n'.encode(),
            **({f"{module}/ballast.bin": noise(size, f"{name} {version}")} if size else {}),
            **(files or {}),
            f"{info}/METADATA": about,
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        }
        record = "".join(f"{path},sha256={_record_hash(body)},{len(body)}\n" for path, body in content.items())
        content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
        return Artifact(f"{module}-{version}-{tag}.whl", zip_of(content), about)

    return Recipe(build, requires_python, yanked)


def sdist(
    *,
    requires_python: str | None = None,
    requires_dist: tuple[str, ...] = (),
    metadata: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    yanked: bool | str = False,
    description: str = "",
) -> Recipe:
    """A source distribution that setuptools can build."""

    def build(name: str, version: str) -> Artifact:
        module = _module(name)
        folder = f"{module}-{version}"
        about = core_metadata(name, version, requires_python, requires_dist, metadata, description)
        project = (
            f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = {json.dumps(list(requires_dist))}\n'
        )
        build_system = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        content = {
            f"{folder}/PKG-INFO": about,
            f"{folder}/pyproject.toml": (build_system + project).encode(),
            f"{folder}/{module}/__init__.py": f'__version__ = "{version}"\n'.encode(),
            **{f"{folder}/{path}": body for path, body in (files or {}).items()},
        }
        return Artifact(f"{folder}.tar.gz", tar_gz_of(content), about)

    return Recipe(build, requires_python, yanked)


def tarball(
    *,
    dependencies: Mapping[str, str] | None = None,
    package_json: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
    deprecated: str | None = None,
    size: int = 0,
    uploaded_at: str = "2024-01-02T03:04:06.000Z",
) -> Recipe:
    """An npm tarball whose module exports its version. `package_json` adds or replaces keys; size: ballast in bytes."""

    def build(name: str, version: str) -> Artifact:
        manifest: dict[str, Any] = {"name": name, "version": version, "main": "index.js", **(package_json or {})}
        if dependencies:
            manifest["dependencies"] = dict(dependencies)
        content = {
            "package/package.json": json.dumps(manifest, indent=2).encode(),
            "package/index.js": f"module.exports = {json.dumps(version)};\n".encode(),
            **({"package/ballast.bin": noise(size, f"{name} {version}")} if size else {}),
            **{f"package/{path}": body for path, body in (files or {}).items()},
        }
        if "package/README.md" not in content:
            content["package/README.md"] = f"# {name}\n".encode()
        plain = Artifact(f"{name.rpartition('/')[2]}-{version}.tgz", tar_gz_of(content))
        dist = {"shasum": plain.sha1, "integrity": plain.integrity, "fileCount": len(content)}
        dist["unpackedSize"] = sum(map(len, content.values()))
        facts = {**manifest, "_id": f"{name}@{version}", "dist": dist}
        if deprecated is not None:
            facts["deprecated"] = deprecated
        return Artifact(plain.filename, plain.body, None, facts)

    return Recipe(build, uploaded_at=uploaded_at)


def core_metadata(
    name: str,
    version: str,
    requires_python: str | None = None,
    requires_dist: tuple[str, ...] = (),
    more: Mapping[str, str] | None = None,
    description: str = "",
) -> bytes:
    """A METADATA or PKG-INFO document (core metadata 2.1)."""
    fields = {
        "Metadata-Version": "2.1",
        "Name": name,
        "Version": version,
        "Summary": f"{name} for tests",
        **(more or {}),
    }
    lines = [f"{key}: {value}" for key, value in fields.items()]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires_dist]
    return ("\n".join(lines) + "\n\n" + description).encode()


def zip_of(content: Mapping[str, bytes]) -> bytes:
    """A zip archive of path → bytes, reproducible."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in content.items():
            member = zipfile.ZipInfo(path, _MOMENT)
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, body)
    return target.getvalue()


def tar_gz_of(content: Mapping[str, bytes]) -> bytes:
    """A gzipped tar archive of path → bytes, reproducible."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, body in content.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime, member.mode = len(body), _SECONDS, 0o644
            archive.addfile(member, io.BytesIO(body))
    return gzip.compress(target.getvalue(), mtime=0)


def noise(size: int, seed: str) -> bytes:
    """`size` bytes that do not compress and are the same every time."""
    return hashlib.shake_128(seed.encode()).digest(size)


def _module(name: str) -> str:
    """A distribution's name as wheels and sdists spell it (binary distribution format, "File name convention")."""
    return re.sub(r"[-_.]+", "_", name).lower()


def _record_hash(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
