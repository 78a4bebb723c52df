"""Verbs of ``fairmoe llm``, one file each."""
