"""How near policies come to best-of-N: what they gain against how far they moved, as numbers and as a page."""
