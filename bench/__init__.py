"""The bench: replays a workload through strategies, checks, counts, times and reports."""
