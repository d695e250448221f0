"""A simulated CRM whose true probabilities of conversion are known."""

from pipeline.simulation.simulate import Summary, simulate

__all__ = ["Summary", "simulate"]
