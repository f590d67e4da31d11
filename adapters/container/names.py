"""Names of images, tags and digests (distribution-spec, "Pulling manifests"). Pure."""

import re

from gateway.errors import Invalid
from gateway.model import Digest

TYPE = "container"
ALIASES = ("docker", "containers")

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\Z")
_ATTACHED = re.compile(r"sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?\Z")
_CUT = re.compile(r"sha512-[0-9a-f]{121}\Z")
_LONGEST = 255
_ALGORITHMS = frozenset({"sha256", "sha512"})


def check_name(name: str) -> str:
    """The name, which is canonical as it is; raises Invalid."""
    if len(name) > _LONGEST or not _NAME.match(name):
        raise Invalid(f"not a name for an image: {name[:80]!r}", oci="NAME_INVALID")
    return name


def is_tag(text: str) -> bool:
    """Whether this can be a tag."""
    return _TAG.match(text) is not None


def check_tag(text: str) -> str:
    """The tag; raises Invalid."""
    if not is_tag(text):
        raise Invalid(f"not a tag: {text[:140]!r}", oci="TAG_INVALID")
    return text


def parse_digest(text: str) -> Digest:
    """A digest by sha256 or sha512; raises Invalid."""
    try:
        digest = Digest.parse(text)
    except Invalid as error:
        raise Invalid(error.message, oci="DIGEST_INVALID") from error
    if digest.algorithm not in _ALGORITHMS:
        raise Invalid(f"digests are sha256 or sha512, not {digest.algorithm}", oci="DIGEST_INVALID")
    return digest


def is_digest(text: str) -> bool:
    """Whether a reference is a digest rather than a tag, however malformed."""
    return ":" in text


def subject_of(tag: str) -> str | None:
    """The digest of the image that a tag belongs to (cosign's signatures, the referrers fallback); None for a version.

    The fallback of a sha512 digest is cut to the length of a tag, and names nothing whole.
    """
    match = _ATTACHED.match(tag)
    return None if match is None else f"sha256:{match[1]}"


def is_attachment_tag(tag: str) -> bool:
    """Whether a tag belongs to another image and names no version."""
    return subject_of(tag) is not None or _CUT.match(tag) is not None


def fallback_tag(digest: str) -> str:
    """The tag under which clients list referrers where a registry has no API (spec, "Referrers Tag Schema")."""
    return digest.replace(":", "-", 1)[:128]
