"""Stages that several methods use."""
