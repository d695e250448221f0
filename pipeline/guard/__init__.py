"""The leak guard: which columns, kinds and tables know the outcome, and how one can tell."""
