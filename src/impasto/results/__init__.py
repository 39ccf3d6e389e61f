"""The results of a job: a painting, its manifest, plots."""
