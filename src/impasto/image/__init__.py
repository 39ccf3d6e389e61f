"""Reading, writing, resizing and recolouring pictures (floor 2)."""
