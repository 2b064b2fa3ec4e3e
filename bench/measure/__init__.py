"""Measuring: tasks, checking, counting, timing, the run over all strategies, and the machine they ran on.

What may come in: whatever yields figures. How figures are kept, compared or shown does not.
"""
