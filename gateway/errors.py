"""Every error that the domain raises, and the only list of them.

Domain code says what is wrong and never mentions a protocol; `gateway.web.errors` turns an error into a response by
asking the adapter for the body. `status` is a hint in HTTP's terms, `code` a stable word that is documented and logged.

GatewayError
├── Invalid                 400 invalid               the request cannot be meant
│   ├── DigestMismatch      400 digest_mismatch       bytes differ from the digest that was promised
│   ├── NameMismatch        400 name_mismatch         the name inside a file differs from the one published
│   ├── PathInvalid         400 path_invalid          a path that could mean two things, or leave its folder
│   ├── TooLarge            413 too_large
│   └── ConfigInvalid       400 config_invalid        a wrong key or value in the configuration
├── Unauthenticated         401 unauthenticated       nobody, or somebody with a bad token
│   └── ScopeMissing        401 scope_missing         a pass that was not asked to allow this
├── Forbidden               403 forbidden             known actor, missing scope or grant
│   ├── NameTaken           403 name_taken            the name belongs to another layer: it needs a claim
│   ├── NameRetired         403 name_retired          this version or file was published before and deleted
│   ├── CodeRequired        403 code_required         the account has a second factor, and no good code came
│   └── Blocked             403 blocked               an upstream or a policy refuses it; the message says why
├── Unknown                 404 unknown
│   ├── RepositoryUnknown   404 repository_unknown    not there, or not there for this actor
│   ├── PackageUnknown      404 package_unknown
│   ├── VersionUnknown      404 version_unknown
│   ├── FileUnknown         404 file_unknown
│   ├── UploadUnknown       404 upload_unknown        an upload that never began, ended, or was given up
│   └── RouteUnknown        404 route_unknown
├── MethodNotAllowed        405 method_not_allowed
├── NotAcceptable           406 not_acceptable
├── Conflict                409 conflict              a concurrent writer, or a stale revision
│   └── AlreadyExists       409 already_exists        the same name with other bytes
├── Gone                    410 gone                  a part of the protocol that was retired
├── RangeUnsatisfiable      416 range_unsatisfiable
├── Throttled               429 throttled             too many failures from one address
├── UpstreamCorrupt         502 upstream_corrupt      an upstream's bytes or documents contradict themselves
├── UpstreamTrouble         503 upstream_trouble      an upstream is slow, limiting, wrong or gone: never "absent"
└── StoreTrouble            503 store_trouble         our own disk or catalogue cannot do it now
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class GatewayError(Exception):
    """Base of all domain errors. `message` is one lower-case sentence without secrets; `detail` is for the log."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str = "", *, retry_after: float | None = None, **detail: Any) -> None:
        """Keep the sentence, the seconds a client should wait (or None) and loggable facts."""
        self.message = message or self.code.replace("_", " ")
        self.retry_after = retry_after
        self.detail: Mapping[str, Any] = detail
        super().__init__(self.message)


class Invalid(GatewayError):
    status, code = 400, "invalid"


class DigestMismatch(Invalid):
    code = "digest_mismatch"


class NameMismatch(Invalid):
    code = "name_mismatch"


class PathInvalid(Invalid):
    code = "path_invalid"


class TooLarge(Invalid):
    status, code = 413, "too_large"


class ConfigInvalid(Invalid):
    code = "config_invalid"


class Unauthenticated(GatewayError):
    status, code = 401, "unauthenticated"


class ScopeMissing(Unauthenticated):
    code = "scope_missing"


class Forbidden(GatewayError):
    status, code = 403, "forbidden"


class NameTaken(Forbidden):
    code = "name_taken"


class NameRetired(Forbidden):
    code = "name_retired"


class CodeRequired(Forbidden):
    code = "code_required"


class Blocked(Forbidden):
    code = "blocked"


class Unknown(GatewayError):
    status, code = 404, "unknown"


class RepositoryUnknown(Unknown):
    code = "repository_unknown"


class PackageUnknown(Unknown):
    code = "package_unknown"


class VersionUnknown(Unknown):
    code = "version_unknown"


class FileUnknown(Unknown):
    code = "file_unknown"


class UploadUnknown(Unknown):
    code = "upload_unknown"


class RouteUnknown(Unknown):
    code = "route_unknown"


class MethodNotAllowed(GatewayError):
    status, code = 405, "method_not_allowed"

    def __init__(self, allowed: str, message: str = "") -> None:
        """`allowed`: the methods for the Allow header, comma-separated (RFC 9110 §10.2.1)."""
        super().__init__(message or f"only {allowed} is allowed here")
        self.allowed = allowed


class NotAcceptable(GatewayError):
    status, code = 406, "not_acceptable"


class Conflict(GatewayError):
    status, code = 409, "conflict"


class AlreadyExists(Conflict):
    code = "already_exists"


class Gone(GatewayError):
    status, code = 410, "gone"


class RangeUnsatisfiable(GatewayError):
    status, code = 416, "range_unsatisfiable"

    def __init__(self, size: int) -> None:
        """`size`: the complete length in bytes, for `Content-Range: bytes */size`."""
        super().__init__(f"no such range in {size} bytes")
        self.size = size


class Throttled(GatewayError):
    status, code = 429, "throttled"


class UpstreamCorrupt(GatewayError):
    status, code = 502, "upstream_corrupt"


class UpstreamTrouble(GatewayError):
    status, code = 503, "upstream_trouble"


class StoreTrouble(GatewayError):
    status, code = 503, "store_trouble"
