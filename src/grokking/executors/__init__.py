"""Where jobs run: worker processes of this machine, a thread that uses its GPU, or a Ray cluster.

Where a job runs does not change what it computes.
"""
