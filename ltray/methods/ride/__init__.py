"""RIDE: routing diverse experts."""
