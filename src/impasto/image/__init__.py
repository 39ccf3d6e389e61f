"""Reading, writing, resizing and recolouring pictures."""
