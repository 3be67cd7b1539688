"""The promises of speed, measured: `make bench`. docs/benchmarks.md says what each figure means."""
