"""The running kernel as ground truth: the cost of memslots in the kernel, compared with this tool's structures."""
