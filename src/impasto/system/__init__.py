"""The machine: process, device, memory, other processes."""
