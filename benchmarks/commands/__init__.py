"""Subcommands of fairmoe, one file each; heavy imports happen inside the functions."""
