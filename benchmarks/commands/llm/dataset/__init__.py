"""``fairmoe llm dataset``: items of task families as files, and what is wrong with a file of items."""
