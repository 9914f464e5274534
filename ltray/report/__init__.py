"""The report of runs and searches as one HTML page that needs nothing else."""
