"""pytest-benchmark suites: `pytest bench/`."""
