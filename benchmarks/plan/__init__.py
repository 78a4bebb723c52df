"""What a run is made of before anything is computed: suites, jobs, cell keys, time estimates."""
