"""What the benchmarks share; no part of any distribution."""
