"""A stored decision made once more; whatever comes out otherwise is named."""
