"""FFCV's files: converting originals into them, what is recorded beside them, and reading them."""
