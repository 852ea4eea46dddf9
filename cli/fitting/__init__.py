"""`crpbot fit`: the theories that learn from long history, and the weights of the votes."""
