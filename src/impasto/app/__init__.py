"""The doors: command line and console. Parse, call a recipe, set the exit code (floor 8)."""
