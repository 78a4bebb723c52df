"""The staged harness: suites, jobs, stages, baselines, tracking, executors and the command line."""
