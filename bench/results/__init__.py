"""Results: their model, files, comparison, export, tables and sentences.

This folder contains code that works on existing figures. Code that measures does not belong here.
"""
