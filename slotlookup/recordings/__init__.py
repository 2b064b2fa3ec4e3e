"""Recordings of real VMs: what an importer declares, and how several files become one trace.

What may come in: code that works on recordings whatever their format. Formats are importers, in the workloads folder;
what records a running VM is part of the bench.
"""
