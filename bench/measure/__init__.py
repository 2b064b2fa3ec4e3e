"""Measuring: the selection of trace and strategies, tasks, checking, counting, timing, runs, and the machine.

This folder contains code that produces figures. Code that stores, compares or shows figures does not belong here.
"""
