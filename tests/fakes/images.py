"""Container images built in memory from a short description, the same bytes every time; nothing is ever fetched.

one = image({"hello": b"hello\\n"})
both = index(image({"a": b"1"}), image({"a": b"2"}, architecture="arm64"))
one.digest, one.body, one.blobs
"""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.artifacts import noise, tar_gz_of

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
OCI_MANIFEST = f"{OCI}manifest.v1+json"
OCI_INDEX = f"{OCI}index.v1+json"
DOCKER_MANIFEST = f"{DOCKER}distribution.manifest.v2+json"
DOCKER_LIST = f"{DOCKER}distribution.manifest.list.v2+json"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
_CONFIGS = {OCI_MANIFEST: f"{OCI}config.v1+json", DOCKER_MANIFEST: f"{DOCKER}container.image.v1+json"}
_LAYERS = {
    OCI_MANIFEST: f"{OCI}layer.v1.tar+gzip",
    DOCKER_MANIFEST: f"{DOCKER}image.rootfs.diff.tar.gzip",
}


def digest_of(body: bytes, algorithm: str = "sha256") -> str:
    """`algorithm:hex` of these bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def descriptor(body: bytes, media_type: str, algorithm: str = "sha256", **more: Any) -> dict[str, Any]:
    """What a manifest says of a blob or of another manifest (OCI image-spec, descriptor.md)."""
    return {"mediaType": media_type, "digest": digest_of(body, algorithm), "size": len(body), **more}


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest with all it needs. blobs: digest → bytes; children: the manifests that an index lists.

    algorithm: of its own digest, and of those in it.
    """

    body: bytes
    media_type: str
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    children: tuple["Image", ...] = ()
    algorithm: str = "sha256"

    @property
    def digest(self) -> str:
        return digest_of(self.body, self.algorithm)

    @property
    def document(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.body)
        return loaded

    @property
    def layers(self) -> list[str]:
        """The digests of its layers, the lowest first."""
        return [str(layer["digest"]) for layer in self.document["layers"]]

    @property
    def everything(self) -> list["Image"]:
        """Every manifest below it and then itself: the order of a push."""
        return [*(one for child in self.children for one in child.everything), self]

    def described(self, **more: Any) -> dict[str, Any]:
        """Its descriptor."""
        return descriptor(self.body, self.media_type, self.algorithm, **more)


def image(
    files: Mapping[str, bytes],
    *,
    media_type: str = OCI_MANIFEST,
    architecture: str = "amd64",
    layers: Sequence[bytes] = (),
    size: int = 0,
    algorithm: str = "sha256",
    **more: Any,
) -> Image:
    """A runnable image of one layer with these files. size: ballast in it; layers: further ones; more: manifest keys."""
    ballast = {"ballast.bin": noise(size, f"{sorted(files)}")} if size else {}
    first = tar_gz_of({**files, **ballast})
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(_unpacked(layer)) for layer in (first, *layers)]},
            "history": [{"created_by": "tests"} for _ in (first, *layers)],
        }
    ).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config, _CONFIGS[media_type], algorithm),
        "layers": [descriptor(layer, _LAYERS[media_type], algorithm) for layer in (first, *layers)],
        **more,
    }
    blobs = {digest_of(blob, algorithm): blob for blob in (config, first, *layers)}
    return Image(json.dumps(document, indent=2).encode(), media_type, blobs, (), algorithm)


def artifact(artifact_type: str, content: bytes, **more: Any) -> Image:
    """An artifact (image-spec, manifest.md, "Guidelines for Artifact Usage"): an empty config and one blob."""
    config = b"{}"
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": descriptor(config, EMPTY_CONFIG),
        "layers": [descriptor(content, "application/octet-stream")],
        **more,
    }
    return Image(json.dumps(document).encode(), OCI_MANIFEST, {digest_of(b): b for b in (config, content)})


def index(*images: Image, media_type: str = OCI_INDEX, algorithm: str = "sha256", **more: Any) -> Image:
    """An index of these, each with the platform of its config."""
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [one.described(platform=_platform(one)) for one in images],
        **more,
    }
    return Image(json.dumps(document, indent=2).encode(), media_type, {}, images, algorithm)


def _platform(one: Image) -> dict[str, str]:
    config = json.loads(one.blobs.get(one.document.get("config", {}).get("digest", ""), b"{}"))
    return {"architecture": config.get("architecture", "unknown"), "os": config.get("os", "unknown")}


def _unpacked(layer: bytes) -> bytes:
    return gzip.decompress(layer)
