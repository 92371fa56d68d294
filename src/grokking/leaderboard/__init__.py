"""A benchmark of time-to-grok: fixed workloads, submitted training rules, one score."""
