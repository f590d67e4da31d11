"""A secret that somebody presented, before anyone knows whether it is any good."""

from dataclasses import dataclass, field

from gateway.auth import tokens


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret and, for Basic, the user name beside it (None otherwise). The secret stays out of logs and reprs."""

    secret: str = field(repr=False)
    user: str | None = None

    @property
    def is_token(self) -> bool:
        """Whether the secret has the form of one of our tokens; then the user name says nothing."""
        return tokens.is_well_formed(self.secret)
