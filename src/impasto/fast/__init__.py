"""Stylizing in one pass: AdaIN, trained networks, and their training."""
