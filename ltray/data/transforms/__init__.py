"""Augmentations: what turns stored pixels into the views that a stage asks for."""
