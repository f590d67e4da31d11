"""HTTP: calls, responses, errors, credentials, observation, the route table."""
