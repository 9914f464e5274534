"""The search space: what is explored, read from YAML and checked before anything runs."""
