"""The control API's bodies. Unknown keys of a request are refused; times are POSIX seconds."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.model import OwnerMode, Scope, Visibility

Text = Annotated[str, Meta(max_length=1000)]
Texts = Annotated[tuple[Text, ...], Meta(max_length=200)]
Role = Literal["read", "write", "delete", "admin"]
SubjectKind = Literal["user", "service", "team", "anonymous", "everyone"]


class Request(Struct, forbid_unknown_fields=True):
    """A body that a client sends."""


class Reply(Struct):
    """A body that we send."""


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────
class Me(Reply):
    """Who asks, with what: `scopes` of the token, or all of them in a session. `needs_code`: of the account."""

    name: str
    kind: str
    email: str | None
    is_admin: bool
    organisations: dict[str, str]
    scopes: list[Scope]
    needs_code: bool


class OfferedCodes(Reply):
    """A new secret, as base32 and as an `otpauth:` address; nothing is kept until a code confirms it."""

    secret: str
    address: str


class FirstCode(Request):
    secret: Text
    code: Text


class ClaimRequest(Request):
    """The secret of the one-time link, and whom to make the first administrator."""

    secret: Text
    name: Text
    password: Text
    email: Text = ""


class PasswordRequest(Request):
    current: Text
    new: Text


class NewUser(Request):
    name: Text
    email: Text | None = None
    password: Text | None = None
    is_admin: bool = False


class UserChange(Request):
    """What is left out stays as it is."""

    email: Text | None = None
    password: Text | None = None
    is_admin: bool | None = None
    is_disabled: bool | None = None


class NewService(Request):
    name: Text


class ServiceChange(Request):
    is_disabled: bool


class Account(Reply):
    """A user or a service account."""

    name: str
    kind: str
    email: str | None
    has_password: bool
    is_admin: bool
    is_disabled: bool
    created_at: float
    needs_code: bool


class NewToken(Request):
    """`owner`: a service account, or left out for oneself. Empty lists do not narrow.

    `is_automation`: the token writes without a one-time code; making it needs one.
    """

    name: Text
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=4)]
    repositories: Texts = ()
    packages: Texts = ()
    cidrs: Texts = ()
    expires_at: float | None = None
    owner: Text | None = None
    is_automation: bool = False


class TokenView(Reply):
    """A token without its secret; `hint` is how it begins."""

    id: int
    name: str
    hint: str
    scopes: list[Scope]
    repositories: tuple[str, ...]
    packages: tuple[str, ...]
    cidrs: tuple[str, ...]
    expires_at: float | None
    created_at: float
    last_used_at: float | None
    is_automation: bool


class MintedToken(Reply):
    """`secret` is shown this once."""

    secret: str
    token: TokenView


class FirstToken(Reply):
    """The first administrator's token, shown this once."""

    secret: str


# ── organisations and grants ─────────────────────────────────────────────────────────────────────────────────────
class NewOrganisation(Request):
    """`owner`: a user, or left out for oneself."""

    name: Text
    owner: Text | None = None


class Organisation(Reply):
    name: str
    created_at: float


class Membership(Request):
    role: Literal["owner", "member"]


class Member(Reply):
    name: str
    role: str


class NewTeam(Request):
    name: Text


class Team(Reply):
    organisation: str
    name: str


class NewGrant(Request):
    """`subject`: a name, `organisation/team`, or left out for `anonymous` and `everyone`."""

    subject_kind: SubjectKind
    role: Role
    repository: Text
    subject: Text | None = None
    package: Text = "*"
    cidr: Text | None = None


class Grant(Reply):
    id: int
    subject_kind: str
    subject: str | None
    role: str
    repository: str
    package: str
    cidr: str | None


# ── repositories and packages ────────────────────────────────────────────────────────────────────────────────────
class NewRepository(Request):
    type: Text
    owner: Text
    name: Text
    layers: Texts = ("hosted",)
    visibility: Visibility = Visibility.PRIVATE
    reserve: Texts = ()
    merge: Texts = ()
    hosts: Texts = ()
    settings: dict[str, Any] = {}


class RepositoryChange(Request):
    """What is left out stays as it is."""

    layers: Texts | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    reserve: Texts | UnsetType = UNSET
    merge: Texts | UnsetType = UNSET
    hosts: Texts | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET


class RepositoryView(Reply):
    """`source`: `config` (changed in the file only), `api` or `ready`."""

    type: str
    owner: str
    name: str
    layers: tuple[str, ...]
    visibility: Visibility
    reserve: tuple[str, ...]
    merge: tuple[str, ...]
    hosts: tuple[str, ...]
    settings: dict[str, Any]
    source: str


class PackageView(Reply):
    """`origin`: the upstream that owns the name. `bytes` and `files` are the published ones."""

    name: str
    owner_mode: OwnerMode
    origin: str
    is_restricted: bool
    versions: int
    files: int
    bytes: int
    latest_upload: str | None


class Ownership(Request):
    """`hosted` claims the name for this repository, `released` gives it back."""

    mode: Literal["hosted", "released"]


class Restriction(Request):
    is_restricted: bool


# ── the installation ─────────────────────────────────────────────────────────────────────────────────────────────
class AuditView(Reply):
    id: int
    at: float
    actor: str
    action: str
    repository: str
    package: str
    detail: dict[str, Any]
    address: str
    request_id: str


class HealthView(Reply):
    """One host of an upstream. `opened_until`: until then it is not asked."""

    name: str
    host: str
    state: str
    failures: int
    opened_until: float | None
    last_ok: float | None
    last_error: str | None
    requests: int
    bytes: int


class Purge(Request):
    """`upstream`: forget the documents of this one, or of all for null."""

    upstream: Text | None = None


class Purged(Reply):
    documents: int


class CacheView(Reply):
    """What the cache holds of one repository."""

    repository: str
    bytes: int
    files: int


class Problem(Reply):
    """An error (RFC 9457); `code` is a stable word."""

    type: str
    title: str
    status: int
    code: str
