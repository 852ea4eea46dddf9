"""`crpbot cluster`: the training cluster on AWS from the laptop's side."""
