"""Deciding: readings and verdicts become a decision, by the theories, by the models, or by the vote of both."""
