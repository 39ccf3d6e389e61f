"""Jobs of many people on one machine: they wait, run in a process of their own, and are steered."""
