"""Recording a VM that runs: tracefs, QEMU's monitor, strace, and the guest of the demo.

What may come in: what touches the running kernel or another process to record it. Reading what was
recorded is importing.
"""
