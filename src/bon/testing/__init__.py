"""The kit for people who extend bon: a scripted generator, a fault-injecting server, and checks of the four seams."""
