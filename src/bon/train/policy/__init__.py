"""Training models that draw: best-of-N put into the weights, and the methods that is held against."""
