"""MLflow: runs, tables and servable models."""
