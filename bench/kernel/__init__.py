"""The running kernel as ground truth: what a memslot more costs it, beside what it costs this tool's structures."""
