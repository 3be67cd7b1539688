"""What anneal is compared with: each the plainest program that does the same job, run in the same minutes."""
