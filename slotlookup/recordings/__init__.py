"""Recordings of real VMs: the declarations of importers, and the merging of several files into one trace.

This folder contains code that works on recordings of any format. Formats are importers, in the workloads folder; the
code that records a running VM is part of the bench.
"""
