"""The pages of a minimal PyPI and a minimal npm registry, for artifacts that were built in memory."""

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.artifacts import Artifact, Recipe

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
HTML_PAGE = "text/html; charset=utf-8"
ABBREVIATED = "application/vnd.npm.install-v1+json"
_ABBREVIATED_KEYS = (
    "name",
    "version",
    "deprecated",
    "dependencies",
    "optionalDependencies",
    "devDependencies",
    "peerDependencies",
    "bin",
    "dist",
    "engines",
    "os",
    "cpu",
)


@dataclass(frozen=True, slots=True)
class Page:
    """What is served at a path. variants: content type → body for clients whose Accept names that type."""

    body: bytes
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, bytes] = field(default_factory=dict)

    def chosen(self, accept: str) -> tuple[str, bytes]:
        """The content type and body for this Accept header."""
        for content_type, body in self.variants.items():
            if content_type in accept:
                return content_type, body
        return self.content_type, self.body


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def simple_page(name: str, built: Iterable[tuple[str, Recipe, Artifact]], base: str, *, sidecars: bool) -> Page:
    """A project's simple page: HTML, and JSON for those who ask (simple repository API 1.1)."""
    files = [_simple_file(recipe, artifact, base, sidecars=sidecars) for _, recipe, artifact in built]
    versions = list(dict.fromkeys(version for version, _, _ in built))
    document = {"meta": {"api-version": "1.1"}, "name": normalized(name), "versions": versions, "files": files}
    anchors = "".join(_anchor(file) for file in files)
    page = f'<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1"></head><body>{anchors}</body></html>'
    return Page(page.encode(), HTML_PAGE, {"Vary": "Accept"}, {JSON_PAGE: json.dumps(document).encode()})


def simple_root(names: Iterable[str]) -> Page:
    """The list of all projects."""
    projects = [normalized(name) for name in names]
    document = {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in projects]}
    body = "".join(f'<a href="{name}/">{name}</a>\n' for name in projects)
    return Page(body.encode(), HTML_PAGE, {"Vary": "Accept"}, {JSON_PAGE: json.dumps(document).encode()})


def packument(name: str, built: Iterable[tuple[str, Recipe, Artifact]], tags: Mapping[str, str], base: str) -> Page:
    """A package's document: full, and abbreviated for those who ask."""
    versions: dict[str, Any] = {}
    times: dict[str, str] = {}
    for version, recipe, artifact in built:
        dist = {**artifact.facts["dist"], "tarball": f"{base}{name}/-/{artifact.filename}"}
        versions[version] = {**artifact.facts, "dist": dist}
        times[version] = recipe.uploaded_at
    moments = sorted(times.values())
    clock = {"created": moments[0], "modified": moments[-1], **times} if moments else {}
    full = {"_id": name, "_rev": "1-0", "name": name, "dist-tags": dict(tags), "versions": versions, "time": clock}
    short = {
        "name": name,
        "modified": clock.get("modified"),
        "dist-tags": dict(tags),
        "versions": {
            version: {key: manifest[key] for key in _ABBREVIATED_KEYS if key in manifest}
            for version, manifest in versions.items()
        },
    }
    headers = {"Vary": "Accept, Accept-Encoding"}
    return Page(json.dumps(full).encode(), "application/json", headers, {ABBREVIATED: json.dumps(short).encode()})


def _simple_file(recipe: Recipe, artifact: Artifact, base: str, *, sidecars: bool) -> dict[str, Any]:
    file: dict[str, Any] = {
        "filename": artifact.filename,
        "url": f"{base}{artifact.filename}",
        "hashes": {"sha256": artifact.sha256},
        "size": len(artifact.body),
        "upload-time": recipe.uploaded_at,
        "yanked": recipe.yanked,
    }
    if recipe.requires_python is not None:
        file["requires-python"] = recipe.requires_python
    if sidecars and artifact.metadata is not None and artifact.filename.endswith(".whl"):
        file["core-metadata"] = {"sha256": Artifact("", artifact.metadata).sha256}
    return file


def _anchor(file: Mapping[str, Any]) -> str:
    attributes = {"href": f"{file['url']}#sha256={file['hashes']['sha256']}"}
    if "requires-python" in file:
        attributes["data-requires-python"] = file["requires-python"]
    if file["yanked"] is not False:
        attributes["data-yanked"] = "" if file["yanked"] is True else file["yanked"]
    if "core-metadata" in file:
        attributes["data-core-metadata"] = f"sha256={file['core-metadata']['sha256']}"
    written = " ".join(f'{key}="{html.escape(value)}"' for key, value in attributes.items())
    return f"<a {written}>{html.escape(file['filename'])}</a><br/>\n"
