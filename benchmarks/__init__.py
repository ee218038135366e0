"""Measurements of this project against its peers, in one run: `python -m benchmarks`."""
