"""Models on disk and in memory: fetching, caching, and reading what a file holds; running them is for `generate`."""
