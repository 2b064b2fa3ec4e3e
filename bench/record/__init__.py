"""Recording of a running VM: tracefs, QEMU's monitor, strace, and the guest of the demo.

This folder contains code that accesses the running kernel or another process to record it. Importers read the
recordings.
"""
