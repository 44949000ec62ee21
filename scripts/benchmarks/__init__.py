"""What `scripts/benchmark.py` measures, one noun a module."""
