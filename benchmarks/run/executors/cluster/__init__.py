"""Jobs on a Ray cluster, one unit of a job at a time on any of its nodes; Ray is imported only here, and when asked."""
