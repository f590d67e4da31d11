"""Reading manifests of any kind: what they name, what they are attached to, what they say of themselves. Pure.

Nothing is rewritten: the bytes are kept as they came. Unknown fields and media types are everybody's right
(image-spec, "Extensibility"); what must hold is that every digest is one, that body and header agree, and that nothing
is two kinds at once (CVE-2021-41190).
"""

from typing import Any

import msgspec
from msgspec import Struct, field

from adapters.container import names
from adapters.container.wire import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from gateway.errors import Invalid

MAX_SIZE = 4 * 1024 * 1024
MAX_CONFIG = 1024 * 1024
_INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
_IMAGES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_OF_IMAGES = ("layers", "blobs")
_FOREIGN = ("nondistributable", ".foreign.")
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_IN_TOTO = "application/vnd.in-toto+json"


class Manifest(Struct, frozen=True):
    """What a manifest names. blobs: config and layers; nodes: what an index lists; loose: what need not be here.

    config: of an image that runs somewhere, the digest of the blob that says where.
    """

    media_type: str
    blobs: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()
    subject: str = ""
    config: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def parse_manifest(body: bytes, content_type: str) -> Manifest:
    """Read a manifest that came with this Content-Type; raises Invalid."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _invalid("the manifest is not JSON") from error
    if not isinstance(tree, dict):
        raise _invalid("the manifest is not an object")
    media_type = _media_type(tree, content_type)
    is_index = media_type in _INDEXES or tree.get("manifests") is not None
    if is_index and (media_type in _IMAGES or any(tree.get(key) is not None for key in ("config", *_OF_IMAGES))):
        raise _invalid("the manifest is an image and an index at once: clients would disagree about what it is")
    layers = [one for key in _OF_IMAGES for one in _descriptors(tree, key)]
    config = [] if tree.get("config") is None else [_descriptor(tree["config"], "config")]
    loose = [one for one in layers if _is_foreign(one)]
    subject = tree.get("subject")
    return Manifest(
        media_type,
        _digests(config + [one for one in layers if not _is_foreign(one)]),
        _digests(_descriptors(tree, "manifests")),
        _digests(loose),
        "" if subject is None else str(_descriptor(subject, "subject")["digest"]),
        next((str(one["digest"]) for one in config if one.get("mediaType") in _CONFIGS), ""),
        _facts(tree, config, layers),
    )


def read_platform(config: bytes) -> str:
    """Where an image runs, by its config: `linux/amd64`, `linux/arm/v7`. Empty where it does not say."""
    try:
        tree = msgspec.json.decode(config)
    except (msgspec.DecodeError, RecursionError):
        return ""
    found = [tree.get(key) for key in ("os", "architecture", "variant")] if isinstance(tree, dict) else []
    if any(one is not None and (not isinstance(one, str) or len(one) > 100) for one in found):
        return ""
    parts = [one for one in found if one]
    return "" if len(parts) < 2 or "unknown" in parts else "/".join(parts)


def _media_type(tree: dict[str, Any], content_type: str) -> str:
    told = content_type.partition(";")[0].strip()
    inside = tree.get("mediaType")
    if inside is not None and not isinstance(inside, str):
        raise _invalid("mediaType is not text")
    media_type = told or inside or ""
    if not media_type or len(media_type) > 255 or not media_type.isascii() or not media_type.isprintable():
        raise _invalid("a manifest needs its media type as Content-Type")
    if inside is not None and inside != media_type:
        raise _invalid(f"the manifest says it is {inside[:100]!r}, the request says {media_type[:100]!r}")
    if media_type.startswith(_SCHEMA_1) or tree.get("schemaVersion") == 1:
        raise _invalid("image manifests of schema 1 are not taken: push with a client of this decade")
    return media_type


def _facts(tree: dict[str, Any], config: list[dict[str, Any]], layers: list[dict[str, Any]]) -> dict[str, Any]:
    """What the list of referrers shows, and whether this is an attestation that belongs to another image."""
    facts: dict[str, Any] = {}
    artifact = tree.get("artifactType") or (config[0].get("mediaType") if config else None)
    if isinstance(artifact, str) and artifact:
        facts["artifactType"] = artifact
    annotations = tree.get("annotations")
    if annotations is not None:
        if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
            raise _invalid("annotations are texts by name")
        facts["annotations"] = annotations
    if layers and all(one.get("mediaType") == _IN_TOTO for one in layers):
        facts["is_attestation"] = True
    return facts


def _descriptors(tree: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = tree.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _invalid(f"{key} is not a list")
    return [_descriptor(one, key) for one in found]


def _descriptor(one: Any, where: str) -> dict[str, Any]:
    """A content descriptor (image-spec, descriptor.md)."""
    if not isinstance(one, dict) or not isinstance(one.get("digest"), str):
        raise _invalid(f"{where} holds something without a digest")
    try:
        names.parse_digest(one["digest"])
    except Invalid as error:
        raise _invalid(f"{where}: {error.message}") from error
    size = one.get("size", 0)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _invalid(f"{where} holds a size that is none")
    return one


def _digests(descriptors: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(one["digest"]) for one in descriptors))


def _is_foreign(one: dict[str, Any]) -> bool:
    """A layer that lies elsewhere and may not be distributed: never required (image-spec, layer.md)."""
    kind = one.get("mediaType")
    return bool(one.get("urls")) or (isinstance(kind, str) and any(word in kind for word in _FOREIGN))


def _invalid(message: str) -> Invalid:
    return Invalid(message, oci="MANIFEST_INVALID")
