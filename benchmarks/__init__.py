"""Benchmarks: our way and a reference in turn in one run; `python -m benchmarks.<name> --help`."""
