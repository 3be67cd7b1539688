"""Where desired state comes from: a folder of YAML, followed for as long as the daemon runs."""
