"""The backtest: the procedure, not one model, judged at many moments of the past."""
