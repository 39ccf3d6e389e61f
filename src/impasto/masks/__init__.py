"""Masks without drawing: a photo's subject, or its light and dark."""
