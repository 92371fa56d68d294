"""The view of runs in MLflow: published from files, any number of times, with the same result.

Runs are found again by their fingerprint, and a metric's timestamp is a function of the run's start and
the step, so that logging a point twice makes one point. Nothing here is needed for training.

The only package that imports mlflow, and only inside functions: the import costs seconds.
"""
