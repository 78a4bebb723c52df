"""Subcommands of fairmoe, one file each, in rooms by what they are about; heavy imports happen inside the functions."""
