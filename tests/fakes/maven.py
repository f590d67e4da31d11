"""Real jars with their POMs, built in memory, and the pages of a minimal Maven repository that has them.

library(dependencies=("com.acme:base:1.0",)).build("com.acme:tool", "1.0").body        the jar; `metadata`: the POM
fake.maven("com.acme:tool", {"1.0": library(), "1.1": library()})
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from xml.sax.saxutils import escape

from tests.fakes.artifacts import Artifact, Recipe, noise, zip_of
from tests.fakes.registries import Page

METADATA = "maven-metadata.xml"
_DATE = "Tue, 02 Jan 2024 03:04:06 GMT"


def library(
    *,
    dependencies: tuple[str, ...] = (),
    packaging: str = "jar",
    parent: str = "",
    files: Mapping[str, bytes] | None = None,
    size: int = 0,
) -> Recipe:
    """A jar that says its version in a file. dependencies, parent: `group:artifact:version`. size: ballast in bytes."""

    def build(name: str, version: str) -> Artifact:
        group, _, artifact = name.partition(":")
        content = {
            "META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\n\r\n",
            f"{group.replace('.', '/')}/{artifact}.txt": f"{version}\n".encode(),
            **({"ballast.bin": noise(size, f"{name} {version}")} if size else {}),
            **(files or {}),
        }
        about = pom(name, version, dependencies=dependencies, packaging=packaging, parent=parent)
        return Artifact(f"{artifact}-{version}.jar", zip_of(content), about)

    return Recipe(build)


def pom(
    name: str,
    version: str,
    *,
    dependencies: Iterable[str] = (),
    packaging: str = "jar",
    parent: str = "",
    more: str = "",
) -> bytes:
    """A POM (Maven POM reference, model 4.0.0). more: further elements."""
    group, _, artifact = name.partition(":")
    wanted = "".join(f"<dependency>{_coordinates(one)}</dependency>" for one in dependencies)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        f"{f'<parent>{_coordinates(parent)}</parent>' if parent else ''}"
        f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{escape(version)}</version>"
        f"<packaging>{packaging}</packaging>{more}<dependencies>{wanted}</dependencies></project>\n"
    ).encode()


def folder(name: str, version: str = "") -> str:
    """Where a package, or one of its versions, lies: `com/acme/tool/1.0/`."""
    group, _, artifact = name.partition(":")
    return f"{group.replace('.', '/')}/{artifact}/" + (f"{version}/" if version else "")


def metadata(name: str, versions: Iterable[str]) -> bytes:
    """The metadata of a package, with the last version as `latest` and `release`."""
    group, _, artifact = name.partition(":")
    known = list(versions)
    newest = f"<latest>{known[-1]}</latest><release>{known[-1]}</release>" if known else ""
    listed = "".join(f"<version>{version}</version>" for version in known)
    return (
        f"<metadata><groupId>{group}</groupId><artifactId>{artifact}</artifactId><versioning>{newest}"
        f"<versions>{listed}</versions><lastUpdated>20240102030406</lastUpdated></versioning></metadata>"
    ).encode()


def pages(name: str, built: Iterable[tuple[str, Artifact]]) -> Iterator[tuple[str, Page]]:
    """Path and page of everything that a repository has of a package: metadata, POMs, jars, and `.sha1` and `.md5` of each."""
    known = list(built)
    files = {folder(name) + METADATA: (metadata(name, [version for version, _ in known]), "application/xml")}
    for version, artifact in known:
        at = folder(name, version) + artifact.filename.removesuffix(".jar")
        files[f"{at}.pom"] = (artifact.metadata or b"", "application/xml")
        files[f"{at}.jar"] = (artifact.body, "application/java-archive")
    for path, (body, content_type) in files.items():
        yield path, Page(body, content_type, {"Last-Modified": _DATE})
        yield f"{path}.sha1", Page(hashlib.sha1(body, usedforsecurity=False).hexdigest().encode(), "text/plain")
        yield f"{path}.md5", Page(hashlib.md5(body, usedforsecurity=False).hexdigest().encode(), "text/plain")


def _coordinates(text: str) -> str:
    group, artifact, version = text.split(":")
    return f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{escape(version)}</version>"
