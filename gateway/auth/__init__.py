"""Who may do what: tokens, access decisions, passwords."""
