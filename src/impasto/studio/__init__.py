"""A queue of jobs on one machine, painted in a process of their own."""
