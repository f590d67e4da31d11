"""Packuments and publish documents for tests, made of the artifacts that `tests.fakes` builds."""

import base64
import json
from typing import Any

from gateway.format import Document
from tests.fakes.artifacts import Artifact, tarball

UPSTREAM = "https://registry.example/"
BASE = "https://pkgs.example.com/npm/acme/widgets/"
HOSTS = frozenset({"registry.example"})


def packument(name: str, *versions: str, **members: Any) -> dict[str, Any]:
    """A full document as an upstream serves it."""
    manifests = {}
    for version in versions:
        built = tarball().build(name, version)
        dist = {**built.facts["dist"], "tarball": f"{UPSTREAM}{name}/-/{built.filename}"}
        manifests[version] = {**built.facts, "dist": dist}
    time = {"created": "2020-01-01T00:00:00.000Z", "modified": "2020-02-01T00:00:00.000Z"}
    time |= {version: f"2020-01-{day:02}T00:00:00.000Z" for day, version in enumerate(versions, 1)}
    tags = {"latest": versions[-1]} if versions else {}
    return {
        "_id": name,
        "_rev": "9-abc",
        "name": name,
        "dist-tags": tags,
        "versions": manifests,
        "time": time,
        **members,
    }


def document(value: Any, *, indent: int | None = None) -> Document:
    """The value as a document of the upstream."""
    return Document(json.dumps(value, indent=indent).encode(), "application/json", f"{UPSTREAM}x")


def publication(name: str, version: str, built: Artifact | None = None, **changes: Any) -> dict[str, Any]:
    """A publish document as npm sends it. changes: members to replace."""
    built = built or tarball().build(name, version)
    dist = {**built.facts["dist"], "tarball": f"http://registry.example/{name}/-/{name}-{version}.tgz"}
    manifest = {**built.facts, "dist": dist, "_id": f"{name}@{version}", "readme": f"# {name}"}
    return {
        "_id": name,
        "name": name,
        "description": "for tests",
        "dist-tags": {"latest": version},
        "versions": {version: manifest},
        "access": None,
        "_attachments": {
            f"{name}-{version}.tgz": {
                "content_type": "application/octet-stream",
                "data": base64.b64encode(built.body).decode(),
                "length": len(built.body),
            }
        },
        **changes,
    }
