"""What strength means: the weights of content and style, and what a run starts from."""

STEEPNESS = 1.5
"""How fast β/α moves with strength. At 1.5, strength 0.1 leaves the photo nearly as it is, 0.95 is nearly
texture."""
