"""A simulated CRM whose true probabilities of conversion are known."""
