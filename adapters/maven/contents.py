"""What must be true of a file before it is published, and what we note of it. Reads files, so not in the loop."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from adapters.maven.markup import MAX_METADATA, MAX_POM, Pom, parse_pom, plugin_prefix
from adapters.maven.names import FileName, Spot
from gateway.errors import Invalid, NameMismatch, TooLarge
from gateway.zip_files import check_directory

_ARCHIVES = (".jar", ".aar", ".war", ".ear", ".zip")
_ZIP = (b"PK\3\4", b"PK\5\6")
_PLUGIN = "META-INF/maven/plugin.xml"


class Noted(Struct, frozen=True):
    """Facts of a file, and of its package where the file says something of that."""

    facts: dict[str, Any] = field(default_factory=dict)
    package_facts: dict[str, Any] | None = None


def inspect(spot: Spot, named: FileName | None, path: Path) -> Noted:
    """Check the file at `path`, which is to be published as `spot`; raises Invalid or NameMismatch. Blocks."""
    if spot.signed is not None or named is None:
        return Noted()
    if named.extension == "pom" and not named.classifier:
        return _inspect_pom(spot, path)
    if spot.filename.endswith(_ARCHIVES):
        with path.open("rb") as file:
            if file.read(4) not in _ZIP:
                raise Invalid(f"{spot.filename} is not a zip archive")
    if named.extension == "jar" and not named.classifier:
        return _inspect_jar(spot, path)
    return Noted()


def check_pom(spot: Spot, pom: Pom) -> None:
    """Raise NameMismatch unless the POM has the coordinates of its path, Invalid where nobody could resolve its parent.

    What it inherits, or makes of properties, is not known here and not compared.
    """
    if pom.parent is not None and any("${" in part for part in pom.parent):
        raise Invalid(f"{spot.filename}: the parent's coordinates hold an expression, which no consumer can resolve")
    group = pom.group or (pom.parent[0] if pom.parent is not None else None)
    version = pom.version or (pom.parent[2] if pom.parent is not None else None)
    told = (
        ("groupId", group, spot.group),
        ("artifactId", pom.artifact, spot.artifact),
        ("version", version, spot.version),
    )
    for key, value, expected in told:
        if value is not None and "${" not in value and value != expected:
            raise NameMismatch(f"{spot.filename}: its {key} is {value[:80]!r}, its path says {expected!r}")


def _inspect_pom(spot: Spot, path: Path) -> Noted:
    with path.open("rb") as file:
        body = file.read(MAX_POM + 1)
    if len(body) > MAX_POM:
        raise TooLarge(f"{spot.filename} has more than {MAX_POM} bytes")
    pom = parse_pom(body)
    check_pom(spot, pom)
    facts = {"packaging": pom.packaging[:60]}
    if pom.name:
        facts["name"] = pom.name[:200]
    return Noted(facts)


def _inspect_jar(spot: Spot, path: Path) -> Noted:
    """A plugin's jar says the prefix of its goals."""
    try:
        with path.open("rb") as file:
            check_directory(file, path.stat().st_size)
            with zipfile.ZipFile(file) as archive, archive.open(_PLUGIN) as member:
                body = member.read(MAX_METADATA + 1)
        prefix = plugin_prefix(body) if len(body) <= MAX_METADATA else None
    except (KeyError, Invalid, zipfile.BadZipFile, RuntimeError, OSError, EOFError, ValueError):
        return Noted()  # no plugin, or none whose description can be read
    except zlib.error:
        return Noted()
    return Noted() if not prefix else Noted(package_facts={"plugin": {"prefix": prefix[:100], "name": spot.artifact}})
