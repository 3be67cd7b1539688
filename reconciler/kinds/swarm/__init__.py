"""What we know about a Docker Swarm: the cluster itself, and a ModelDeployment as services on it. Pure."""
