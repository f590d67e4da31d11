"""NuGet packages built in memory, and the pages of a v3 feed that serves them.

    package(dependencies={"Left.Pad": "[1.0, )"}).build("Acme.Tool", "1.0.0").body
    fake.nuget("Acme.Tool", {"1.0.0": package()})

The feed's documents have the shape of the public gallery's: a service index, registrations whose pages are inlined up to
127 versions and external beyond, catalog leaves with the hash of each package, and a flat container.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from adapters.nuget.names import Version
from tests.fakes.artifacts import Artifact, Recipe, noise, zip_of

NUSPEC = "http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"
_INLINED, _PAGE = 127, 64
# Open Packaging Conventions: nuget.exe 2 finds the nuspec by this relation (ECMA-376 part 2, §9).
_OPC = "http://schemas.openxmlformats.org/package/2006"
_RELATIONS = (
    f'<Relationships xmlns="{_OPC}/relationships"><Relationship Id="R1" Target="/NUSPEC" '
    'Type="http://schemas.microsoft.com/packaging/2010/07/manifest" /></Relationships>'
)
_TYPES = (
    f'<Types xmlns="{_OPC}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />'
    + "".join(
        f'<Default Extension="{name}" ContentType="application/octet" />' for name in ("nuspec", "txt", "bin", "dll")
    )
    + "</Types>"
)


def package(
    *,
    dependencies: Mapping[str, str] | None = None,
    groups: Mapping[str, Mapping[str, str]] | None = None,
    metadata: Mapping[str, str] | None = None,
    types: Iterable[str] = (),
    files: Mapping[str, bytes] | None = None,
    extra: str = "",
    size: int = 0,
    listed: bool = True,
    deprecation: Mapping[str, Any] | None = None,
    vulnerabilities: Iterable[Mapping[str, str]] = (),
    uploaded_at: str = "2024-01-02T03:04:06.789+00:00",
) -> Recipe:
    """A package with one text file. groups: framework → dependencies. extra: XML for the nuspec. size: ballast.

    listed, deprecation and vulnerabilities are what the feed says of it.
    """

    def build(id_: str, version: str) -> Artifact:
        text = nuspec(id_, version, dependencies, groups, metadata, types, extra)
        content = {
            f"{id_}.nuspec": text,
            "_rels/.rels": _RELATIONS.replace("NUSPEC", f"{id_}.nuspec").encode(),
            "[Content_Types].xml": _TYPES.encode(),
            "content/hello.txt": f"{id_} {version}\n".encode(),
            **({"content/ballast.bin": noise(size, f"{id_} {version}")} if size else {}),
            **(files or {}),
        }
        flat = [{"dependencies": [_dependency(*one) for one in (dependencies or {}).items()]}] if dependencies else []
        grouped = [
            {"targetFramework": name, "dependencies": [_dependency(*one) for one in group.items()]}
            for name, group in (groups or {}).items()
        ]
        said: dict[str, Any] = {"id": id_, "version": version, "listed": listed, "dependencyGroups": [*flat, *grouped]}
        said |= {"published": uploaded_at if listed else "1900-01-01T00:00:00+00:00", "authors": "tests"}
        said |= {"deprecation": deprecation} if deprecation else {}
        said |= {"vulnerabilities": list(vulnerabilities)} if vulnerabilities else {}
        key = Version.parse(version).key
        return Artifact(f"{id_.lower()}.{key}.nupkg", zip_of(content), text, {**said, **(metadata or {})})

    return Recipe(build, uploaded_at=uploaded_at)


def nuspec(
    id_: str,
    version: str,
    dependencies: Mapping[str, str] | None = None,
    groups: Mapping[str, Mapping[str, str]] | None = None,
    metadata: Mapping[str, str] | None = None,
    types: Iterable[str] = (),
    extra: str = "",
) -> bytes:
    """A nuspec document."""
    fields = {"id": id_, "version": version, "authors": "tests", "description": f"{id_} for tests", **(metadata or {})}
    lines = [f"    <{name}>{escape(text)}</{name}>" for name, text in fields.items()]
    if types:
        lines.append(
            f"<packageTypes>{''.join(f'<packageType name={quoteattr(name)} />' for name in types)}</packageTypes>"
        )
    if dependencies or groups:
        inner = "".join(_dependency_xml(*one) for one in (dependencies or {}).items())
        for framework, group in (groups or {}).items():
            inner += f"<group targetFramework={quoteattr(framework)}>"
            inner += "".join(_dependency_xml(*one) for one in group.items()) + "</group>"
        lines.append(f"    <dependencies>{inner}</dependencies>")
    body = "\n".join([*lines, extra])
    return f'<?xml version="1.0" encoding="utf-8"?>\n<package xmlns="{NUSPEC}"><metadata>\n{body}\n</metadata></package>'.encode()


def symbols(pdbs: Mapping[str, uuid.UUID], *, more: Mapping[str, bytes] | None = None, salt: str = "") -> Recipe:
    """A symbol package: name of a PDB → its id."""

    def build(id_: str, version: str) -> Artifact:
        content = {
            f"{id_}.nuspec": nuspec(id_, version, types=("SymbolsPackage",)),
            **{f"lib/netstandard2.0/{name}": pdb(guid, salt) for name, guid in pdbs.items()},
            **(more or {}),
        }
        return Artifact(f"{id_.lower()}.{version}.snupkg", zip_of(content))

    return Recipe(build)


def pdb(guid: uuid.UUID, salt: str = "") -> bytes:
    """The least that is a portable PDB (Portable PDB format, "Metadata Header", "#Pdb stream")."""
    version = b"PDB v1.0\0\0\0\0"
    stream = guid.bytes_le + b"\0\0\0\0" + b"\0" * 12
    name = b"#Pdb\0\0\0\0"
    offset = 16 + len(version) + 4 + 8 + len(name)
    head = b"BSJB" + b"\1\0\1\0" + b"\0\0\0\0" + len(version).to_bytes(4, "little") + version + b"\0\0" + b"\1\0"
    return head + offset.to_bytes(4, "little") + len(stream).to_bytes(4, "little") + name + stream + salt.encode()


def feed_index(base: str) -> bytes:
    """The service index of a feed below `base`."""
    resources = {
        "PackageBaseAddress/3.0.0": "files/",
        "RegistrationsBaseUrl/3.6.0": "registration/",
        "RegistrationsBaseUrl/Versioned": "registration/",
        "SearchQueryService/3.5.0": "query",
        "SearchAutocompleteService/3.5.0": "complete",
        "VulnerabilityInfo/6.7.0": "vulnerabilities/index.json",
        "RepositorySignatures/5.0.0": "signatures/index.json",
    }
    listed = [{"@id": f"{base}{path}", "@type": kind, "comment": "for tests"} for kind, path in resources.items()]
    return json.dumps({"version": "3.0.0", "resources": listed}).encode()


def feed_pages(id_: str, built: list[Artifact], base: str, *, promises: str = "leaf") -> dict[str, bytes]:
    """Path below the feed → body, of everything about one package.

    promises: where the hash is promised: in the catalog `leaf`, in the `entry` of the registration, or `nowhere`.
    """
    lid = id_.lower()
    ordered = sorted(built, key=lambda one: Version.parse(one.facts["version"]))
    pages: dict[str, bytes] = {}
    leaves = []
    for one in ordered:
        key = Version.parse(one.facts["version"]).key
        pages[f"files/{lid}/{key}/{one.filename}"] = one.body
        pages[f"files/{lid}/{key}/{lid}.nuspec"] = one.metadata or b""
        hashed = {
            "packageHash": base64.b64encode(hashlib.sha512(one.body).digest()).decode(),
            "packageHashAlgorithm": "SHA512",
            "packageSize": len(one.body),
        }
        catalog = f"catalog/{lid}.{key}.json"
        entry = {"@id": f"{base}{catalog}", "@type": "PackageDetails", **one.facts}
        pages[catalog] = json.dumps({**entry, **(hashed if promises == "leaf" else {})}).encode()
        content = f"{base}files/{lid}/{key}/{one.filename}"
        leaves.append(
            {
                "@id": f"{base}registration/{lid}/{key}.json",
                "catalogEntry": {**entry, **(hashed if promises == "entry" else {}), "packageContent": content},
                "packageContent": content,
                "registration": f"{base}registration/{lid}/index.json",
            }
        )
    pages |= _registration(lid, leaves, base)
    versions = [Version.parse(one.facts["version"]).key for one in ordered]
    pages[f"files/{lid}/index.json"] = json.dumps({"versions": versions}).encode()
    return pages


def _registration(lid: str, leaves: list[dict[str, Any]], base: str) -> dict[str, bytes]:
    pages, items = {}, []
    is_inlined = len(leaves) <= _INLINED
    for start in range(0, len(leaves), _PAGE):
        part = leaves[start : start + _PAGE]
        lower, upper = (Version.parse(leaf["catalogEntry"]["version"]) for leaf in (part[0], part[-1]))
        path = f"registration/{lid}/page/{lower.key}/{upper.key}.json"
        page = {"@id": f"{base}{path}", "count": len(part), "lower": lower.normalized, "upper": upper.normalized}
        items.append({**page, "items": part} if is_inlined else page)
        if not is_inlined:
            pages[path] = json.dumps({**page, "items": part}).encode()
    index = {"@id": f"{base}registration/{lid}/index.json", "count": len(items), "items": items}
    return {**pages, f"registration/{lid}/index.json": json.dumps(index).encode()}


def _dependency(id_: str, range_: str) -> dict[str, str]:
    return {"@id": "https://elsewhere.invalid/dependency", "id": id_, "range": range_}


def _dependency_xml(id_: str, range_: str) -> str:
    return f"<dependency id={quoteattr(id_)} version={quoteattr(range_)} />"
