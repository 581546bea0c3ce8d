"""Trains models that score and models that draw: rows become weights in a folder that loads by its spec at once."""
