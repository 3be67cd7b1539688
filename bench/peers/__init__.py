"""Other people's servers of a scikit-learn model, each in an environment of its own, beside ours: `make bench-peers`."""
