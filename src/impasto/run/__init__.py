"""A run by descent, whatever it paints."""
