"""Generators: what draws candidates, and generators around generators; one a file, each imported by who needs it."""
