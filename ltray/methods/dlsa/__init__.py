"""DLSA: distribution-aligned flow filters."""
