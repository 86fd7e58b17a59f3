"""Training on several processes: collective operations and MXNet's parameter server."""
