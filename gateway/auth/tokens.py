"""The form of our tokens: `ent_`, 30 random base62 characters, and 6 that are their CRC-32.

The prefix and the checksum let secret scanners find a leaked token without asking us, and let us refuse rubbish
without asking the catalogue. Only `sha256(token)` is ever stored. Nothing here does I/O.
"""

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "ent_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ENTROPY_LENGTH = 30  # 178 bits
_CHECKSUM_LENGTH = 6  # 62**6 > 2**32
_HINT_LENGTH = len(PREFIX) + 4
_FORM = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_ENTROPY_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})\Z")


def mint() -> str:
    """A new secret token, of 40 characters."""
    entropy = "".join(secrets.choice(_ALPHABET) for _ in range(_ENTROPY_LENGTH))
    return f"{PREFIX}{entropy}{_checksum(entropy)}"


def is_well_formed(text: str) -> bool:
    """Whether this could be one of our tokens: right prefix, length, alphabet and checksum. No secret decides it."""
    match = _FORM.match(text)
    return match is not None and _checksum(match[1]) == match[2]


def sha256(text: str) -> str:
    """The hex under which a token, or any other secret of ours, is stored and looked up."""
    return hashlib.sha256(text.encode()).hexdigest()


def hint(token: str) -> str:
    """The first characters, by which a person recognises a token in a list."""
    return token[:_HINT_LENGTH]


def _checksum(entropy: str) -> str:
    number = zlib.crc32(entropy.encode())
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
