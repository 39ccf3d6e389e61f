"""The machine: this process, its device, its memory, and other processes."""
