"""The report of runs and searches as one HTML page without external resources."""
