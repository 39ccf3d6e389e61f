"""Which style applies, and where."""
