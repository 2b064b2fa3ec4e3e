"""Measuring: which trace and strategies, tasks, checking, counting, timing, runs, and the machine they ran on.

What may come in: whatever yields figures. How figures are kept, compared or shown does not.
"""
