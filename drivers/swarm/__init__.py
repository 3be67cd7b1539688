"""Docker Swarm, by the docker SDK."""
