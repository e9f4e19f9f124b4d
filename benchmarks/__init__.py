"""Which experiments answer which question: thin lists, no logic. Each file is also a pytest-benchmark run."""
