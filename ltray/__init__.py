"""Long-tailed image recognition: the papers' methods, one engine, and a search that can be believed."""

__version__ = "0.1.0"
