"""`homing bench`: costs measured on a real cluster, with a baseline beside each figure.

A baseline is a minimal server that does the least that the job takes, on the same event loop and machine. CPU time per
operation is the figure to quote, because wall time on a shared machine is noise. Latencies count from the time at which
a message was due, so a generator that falls behind cannot improve them; such a run is marked invalid.
"""
