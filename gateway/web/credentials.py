"""What a client presents to say who it is, in every form that the ecosystems' clients use. Decides nothing.

`Authorization` with Basic (`user:token`, `__token__:token`, `token:`, `user:password`), Bearer and the `token` scheme,
RubyGems' bare key, and header tokens of NuGet and Maven clients. Nothing here says whether a secret is any good.
"""

import base64
import binascii
import re
from contextlib import suppress

from multidict import MultiMapping

from gateway.auth import tokens
from gateway.auth.credential import Credential
from gateway.errors import Unauthenticated

_MAX_LENGTH = 8192
KEY_HEADERS = ("X-NuGet-ApiKey", "Private-Token", "Deploy-Token", "Job-Token")
_TOKEN_SCHEMES = frozenset({"bearer", "token"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_code(headers: MultiMapping[str], name: str) -> str:
    """The one-time code in the header of that name; empty without one."""
    return _single(headers, name) or ""


def read_credentials(headers: MultiMapping[str]) -> Credential | None:
    """The credential in these headers; None when there is none, Unauthenticated when it cannot be read.

    A key header wins over `Authorization` only with a real token in it: clients send placeholders (`az`, `any`) there
    while the secret is in `Authorization` (dotnet nuget push with source credentials).
    """
    key = _key_header(headers)
    if key is not None and key.is_token:
        return key
    return _authorization(headers) or key


def _key_header(headers: MultiMapping[str]) -> Credential | None:
    for name in KEY_HEADERS:
        value = _single(headers, name)
        if value:
            return Credential(value)
    return None


def _authorization(headers: MultiMapping[str]) -> Credential | None:
    value = _single(headers, "Authorization")
    if not value:
        return None
    scheme, _, rest = value.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "basic":
        return _basic(rest)
    if scheme.lower() in _TOKEN_SCHEMES:
        if not rest or " " in rest:
            raise Unauthenticated(f"expected one token after {scheme}")
        return _bearer(rest)
    if rest:
        raise Unauthenticated("expected Basic, Bearer or a token as authorization")
    return Credential(value)


def _bearer(text: str) -> Credential:
    """A token; or `user:token` in base64, as tools for the portal of Maven Central send it."""
    if not tokens.is_well_formed(text):
        with suppress(binascii.Error, ValueError):
            secret = base64.b64decode(text, validate=True).decode("ascii").partition(":")[2]
            if tokens.is_well_formed(secret):
                return Credential(secret)
    return Credential(text)


def _basic(encoded: str) -> Credential | None:
    """`user:secret` (RFC 7617); empty on both sides, which some container clients send, is no credential."""
    encoded, comma, key = encoded.partition(",")
    if comma and tokens.is_well_formed(key.strip()):  # gem push to a host with userinfo: `Basic xxx, KEY`
        return Credential(key.strip())
    try:
        raw = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unauthenticated("the Basic authorization is not base64") from error
    user, colon, secret = _text(raw).partition(":")
    user = user.strip()
    if tokens.is_well_formed(secret.strip()):  # a password keeps its spaces
        secret = secret.strip()
    if _CONTROL.search(user) or _CONTROL.search(secret):
        raise Unauthenticated("the Basic authorization holds control characters")
    if not user and not secret:
        return None
    if not colon or not secret or (tokens.is_well_formed(user) and not tokens.is_well_formed(secret)):
        return Credential(user)  # uv sends `token:`, others `token` or `token:x-oauth-basic`
    return Credential(secret, user)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # Maven resolver's default charset


def _single(headers: MultiMapping[str], name: str) -> str | None:
    """The stripped value of a header that may be there once; twice could mean two things."""
    values = headers.getall(name, None)
    if values is None:
        return None
    if len(values) > 1:
        raise Unauthenticated(f"more than one {name} header")
    if len(values[0]) > _MAX_LENGTH:
        raise Unauthenticated(f"the {name} header is longer than {_MAX_LENGTH} characters")
    return values[0].strip()
