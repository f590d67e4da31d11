"""The only way out: one client for every upstream."""
