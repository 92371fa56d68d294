"""A stack of replicas: their parameters, their updates, their evaluations and events."""
