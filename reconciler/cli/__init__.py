"""The command line. It imports specs only, and talks HTTP."""
