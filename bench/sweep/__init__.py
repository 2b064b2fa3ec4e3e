"""Sweeps: one workload at many slot counts, its curves, crossovers, tables, plot and file.

What may come in: what concerns figures over slot counts.
"""
