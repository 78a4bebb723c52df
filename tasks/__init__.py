"""A card becomes a task: download, verify, read, split, encode, text. Start at :func:`tasks.load.load_task`."""
