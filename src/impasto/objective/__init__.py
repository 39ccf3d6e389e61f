"""What is measured, how it is scored, and the gradient of it (floor 4)."""
