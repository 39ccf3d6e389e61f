"""One file for each command: whole jobs, as functions."""
