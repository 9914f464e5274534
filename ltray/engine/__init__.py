"""Trains stages; knows no method and no cluster."""
