"""When and where: files, databases, clocks, MLflow, CRMs and the command line."""
