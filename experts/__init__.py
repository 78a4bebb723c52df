"""Experts of three roles: networks as lanes, objectives, trainer, tuning. Start at :func:`experts.tuning.study.tune`."""
