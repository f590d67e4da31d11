"""Tags that never move (`immutable` in a repository's settings), as real pushes need them. Pure.

dockerd 26 with the containerd store puts an attestation, then the image, then the index of both under one tag in one
`docker push`. So for ten minutes the same token may replace what it just pushed by an index that lists it, and an
attestation by what it belongs to. Signatures and other attachments under tags of their own are not versions.
"""

from fnmatch import fnmatchcase

from adapters.container.names import is_attachment_tag
from gateway.errors import Forbidden
from gateway.model import Repository
from gateway.store.graph import Judge
from gateway.store.graph_rows import Move

_ONE_PUSH = 600.0  # seconds


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
    is_attested = bool(move.old.facts.get("is_attestation")) != bool(move.new.facts.get("is_attestation"))
    return move.pointer.digest in move.named or is_attested
