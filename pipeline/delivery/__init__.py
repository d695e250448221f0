"""Scores on their way to a destination: what is sent, when, and that it takes effect exactly once."""
