"""The run itself: stages of a job, executors, cells, failures, progress."""
