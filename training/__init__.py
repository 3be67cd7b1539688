"""What turns a table into a model: profile, features, screening, tuning, evaluation, packaging. Processes of their own.

    python -m training.profile   fetch a table, pin it, say what it holds
    python -m training.job       one run of an Experiment; started again it goes on
    python -m training.score     models side by side on the same held-out rows

They talk to files alone: a request or a run folder in, results out, every file written whole. Nothing here imports reconciler
or drivers.
"""
