"""`homing bench`: what things cost, measured on a real cluster of its own, with a bare floor beside each figure.

CPU time per operation is the figure to quote, because wall time on a shared machine is noise. Latencies are counted
from the moment at which a message was meant to be sent, so a generator that falls behind cannot make them look better;
a run in which it did is marked invalid.
"""
