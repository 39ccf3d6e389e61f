"""The command `impasto`: parses, calls a recipe, shows, sets the exit code."""
