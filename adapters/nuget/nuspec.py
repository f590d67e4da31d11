"""Reading a `.nuspec`: what a package says of itself, in the members that a registration shows (nuget.md §4, §10).

Pure. The document comes from a stranger: no document type, no entities, a bounded size; whatever is not understood is
left out. The file itself is kept and served as it is, so nothing is lost here.
"""

from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from msgspec import Struct

from adapters.nuget.names import Range, Version, is_id
from gateway.errors import Invalid

MAX_SIZE = 1024 * 1024
_LONGEST = 4000
_LONGEST_NOTES = 35_000
_MAX_DEPENDENCIES = 5000
_TEXTS = ("title", "authors", "description", "summary", "copyright", "language")


class Nuspec(Struct, frozen=True):
    """What a nuspec says. id: as written. entry: the members of a registration's `catalogEntry` that come from it.

    files: `icon`, `readme`, `license` → the member of the archive that holds it.
    """

    id: str
    version: Version
    entry: dict[str, Any]
    files: dict[str, str]

    @property
    def types(self) -> set[str]:
        """The package types, in lower case."""
        return {str(one["name"]).lower() for one in self.entry.get("packageTypes", [])}


class _Builder(TreeBuilder):
    """Refuses a document type before any entity could be declared: without one, XML cannot be made to explode."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:  # noqa: ARG002 the parser's signature
        raise Invalid("the nuspec has a document type, which none needs")


def parse(body: bytes) -> Nuspec:
    """Read a nuspec; raises Invalid."""
    metadata = _metadata(body)
    id_, version = _text(metadata, "id"), Version.parse(_text(metadata, "version"))
    if not is_id(id_):
        raise Invalid(f"not a NuGet package id: {id_[:80]!r}")
    entry: dict[str, Any] = {"id": id_, "version": version.full}
    for name in _TEXTS:
        if text := _text(metadata, name)[:_LONGEST]:
            entry[name] = text
    if notes := _text(metadata, "releaseNotes")[:_LONGEST_NOTES]:
        entry["releaseNotes"] = notes
    entry["tags"] = [
        tag for tag in _text(metadata, "tags")[:_LONGEST].replace(",", " ").replace(";", " ").split() if tag
    ]
    for name in ("projectUrl", "licenseUrl", "iconUrl"):
        if url := _url(_text(metadata, name)):
            entry[name] = url
    for name in ("requireLicenseAcceptance", "developmentDependency"):
        if _text(metadata, name).lower() == "true":
            entry[name] = True
    if minimum := metadata.get("minClientVersion", "").strip()[:64]:
        entry["minClientVersion"] = minimum
    entry["dependencyGroups"] = _groups(metadata)
    entry["packageTypes"] = _types(metadata)
    if (repository := _child(metadata, "repository")) is not None:
        entry["repository"] = {key: repository.get(key, "")[:500] for key in ("type", "url", "branch", "commit")}
    return Nuspec(id_, version, entry, _files(metadata, entry))


def _metadata(body: bytes) -> Element:
    """The `metadata` element, whatever the namespace."""
    if len(body) > MAX_SIZE:
        raise Invalid(f"the nuspec has more than {MAX_SIZE} bytes")
    parser = XMLParser(target=_Builder())  # noqa: S314 it refuses document types, and so all entities
    try:
        parser.feed(body)
        root = parser.close()
    except (ParseError, LookupError, ValueError) as error:
        raise Invalid(f"the nuspec is not XML: {str(error)[:100]}") from error
    found = [child for child in root if _name(child) == "metadata"]
    if _name(root) != "package" or len(found) != 1:
        raise Invalid("the nuspec has no package with one metadata")
    return found[0]


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _child(parent: Element, name: str) -> Element | None:
    """The only child of that name; raises Invalid for a second one, which readers would take differently."""
    found = [child for child in parent if _name(child) == name]
    if len(found) > 1:
        raise Invalid(f"the nuspec has {len(found)} elements {name}")
    return found[0] if found else None


def _text(parent: Element, name: str) -> str:
    child = _child(parent, name)
    return (child.text or "").strip() if child is not None else ""


def _url(text: str) -> str:
    """An http(s) address, or nothing."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return (
        text if parts.scheme in {"http", "https"} and parts.netloc and text.isprintable() and len(text) < 2000 else ""
    )


def _groups(metadata: Element) -> list[dict[str, Any]]:
    """Dependencies by target framework, empty groups among them; a flat list is one group for every framework."""
    parent = _child(metadata, "dependencies")
    if parent is None:
        return []
    if sum(1 for _ in parent.iter()) > _MAX_DEPENDENCIES:
        raise Invalid(f"the nuspec has more than {_MAX_DEPENDENCIES} dependencies")
    groups = []
    if flat := [child for child in parent if _name(child) == "dependency"]:
        groups.append({"dependencies": [_dependency(child) for child in flat]})
    for group in parent:
        if _name(group) == "group":
            listed: dict[str, Any] = {
                "dependencies": [_dependency(child) for child in group if _name(child) == "dependency"]
            }
            if framework := group.get("targetFramework", "").strip()[:200]:
                listed["targetFramework"] = framework
            groups.append(listed)
    return groups


def _dependency(element: Element) -> dict[str, str]:
    id_ = element.get("id", "").strip()
    if not is_id(id_):
        raise Invalid(f"the nuspec depends on what is no package id: {id_[:80]!r}")
    return {"id": id_, "range": str(Range.parse(element.get("version", "")))}


def _types(metadata: Element) -> list[dict[str, str]]:
    parent = _child(metadata, "packageTypes")
    found = []
    for child in parent if parent is not None else ():
        name = child.get("name", "").strip()
        if _name(child) == "packageType" and is_id(name):
            version = child.get("version", "").strip()[:64]
            found.append({"name": name, "version": version} if version else {"name": name})
    return found or [{"name": "Dependency"}]


def _files(metadata: Element, entry: dict[str, Any]) -> dict[str, str]:
    """The archive's members that the nuspec names; notes a licence expression in the entry."""
    files = {kind: path for kind in ("icon", "readme") if (path := _text(metadata, kind))}
    licence = _child(metadata, "license")
    text = (licence.text or "").strip() if licence is not None else ""
    if licence is not None and text:
        if licence.get("type", "").lower() == "file":
            files["license"] = text
        else:
            entry["licenseExpression"] = text[:500]
    return files
