"""Accounts as one actor may manage them: tokens, one-time codes, users, service accounts, organisations,
teams and grants.

Each method checks for itself what the acting actor may do, and records in the audit table what it did.
"""

from gateway.auth.code_accounts import CodeAccounts
from gateway.auth.grant_accounts import GrantAccounts
from gateway.auth.organisation_accounts import OrganisationAccounts
from gateway.auth.people_accounts import PeopleAccounts
from gateway.auth.token_accounts import TokenAccounts


class Accounts(TokenAccounts, CodeAccounts, PeopleAccounts, OrganisationAccounts, GrantAccounts):
    """All account use cases, bound to one acting actor."""
