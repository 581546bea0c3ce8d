"""What may be spent and what has been: reserved before a call, settled after; it sends nothing and knows no prices."""
