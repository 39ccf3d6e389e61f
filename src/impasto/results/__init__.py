"""What a job leaves: a painting, its manifest, plots."""
