"""The adapter for Python packages."""
