"""Leaderboards: result table, statistics, figures and pages. Start at :func:`reports.build.write_report`."""
