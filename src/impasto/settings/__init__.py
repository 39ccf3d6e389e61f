"""What users choose. Standard library only."""
