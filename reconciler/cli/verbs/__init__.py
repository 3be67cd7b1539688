"""One module per verb, imported only when it is used. Each has `parser()` and `run(argv) -> exit code`."""
