"""What is measured, how it is scored, and its gradient."""
