"""Sweeps: one workload at many slot counts, its curves, crossovers, tables, plot and file.

This folder contains code for figures over slot counts.
"""
