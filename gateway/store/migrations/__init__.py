"""Alembic's environment. Revisions in `versions` are numbered and only ever added to."""
