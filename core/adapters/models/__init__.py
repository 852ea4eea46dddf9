"""The models' place: weights, manifests, reports, pointers."""
