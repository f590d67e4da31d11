"""Tags that never move (`immutable` in a repository's settings), as real pushes need them. Pure.

dockerd 26 with the containerd store puts an attestation, then the image, then the index of both under one tag in one
`docker push`; of an image for several platforms, these of each. So for ten minutes the same token may replace what it
just pushed by an index that lists it, and before there is one, an image by that of another platform, or by
attestations. Signatures and other attachments under tags of their own are not versions.
"""

from fnmatch import fnmatchcase

from adapters.container.names import is_attachment_tag
from gateway.errors import Forbidden
from gateway.model import Repository
from gateway.store.graph import Judge
from gateway.store.graph_rows import Move, NodeRow

_ONE_PUSH = 600.0  # seconds
_ATTESTATION = "attestation"


def judge_for(repository: Repository, pusher: str) -> Judge:
    """What decides whether a tag of this repository may leave its manifest."""
    listed = repository.settings.get("immutable")
    patterns = tuple(str(one) for one in listed) if isinstance(listed, list | tuple) else ()

    def judge(move: Move) -> None:
        tag = move.pointer.name
        if is_attachment_tag(tag) or not any(fnmatchcase(tag, pattern) for pattern in patterns):
            return
        if not _is_same_push(move, pusher):
            raise Forbidden(f"the tag {tag} is immutable, and is {move.pointer.digest}")

    return judge


def _is_same_push(move: Move, pusher: str) -> bool:
    if not move.new.digest or move.pointer.moved_by != pusher or move.at - move.pointer.moved_at > _ONE_PUSH:
        return False
    return move.pointer.digest in move.named or _are_siblings(_part(move.old), _part(move.new))


def _are_siblings(old: str, new: str) -> bool:
    """Whether one index may list both; two builds for one platform are two versions."""
    return bool(old and new) and (old != new or old == _ATTESTATION)


def _part(node: NodeRow) -> str:
    """What of an image for several platforms this is; empty for none, which an index is, too."""
    return _ATTESTATION if node.facts.get("is_attestation") else str(node.facts.get("platform", ""))
