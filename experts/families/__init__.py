"""Families of experts, one file each, found by the ``FAMILY`` that they define: also in plug-in folders."""
