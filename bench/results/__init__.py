"""Results: their model, their files, and how they are compared, exported and shown as tables and sentences.

What may come in: whatever works on figures that are there. Nothing here measures.
"""
