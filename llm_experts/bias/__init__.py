"""Language bias sets: BBQ, CrowS-Pairs, StereoSet and WinoBias, scored with intervals."""
