"""VGG-19 and its weights."""
