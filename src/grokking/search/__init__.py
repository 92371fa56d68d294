"""Hyperparameter studies. The only package that imports optuna.

- What is searched: config, space, objective, sampler, monitored_task.
- One trial: seed_job, executor, trial_monitor, pruning, pruning_context, trial_outcomes.
- All of them: study, scheduler, known_trials, study_key, study_progress.
- How a study is kept and shared: storage, journal, leases, owner, the locks, served_storage, study_server.
- What follows: tables, sustain, results; where time is limited, confirmation_time and timed_check.
- What is shown of it: dashboard, importance, pruner_audit, replay.

Read config, scheduler, trial_monitor and pruning, in this order.
"""
