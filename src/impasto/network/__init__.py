"""VGG-19 and its weights (floor 3)."""
