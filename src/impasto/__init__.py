"""Impasto: the neural algorithm of artistic style."""

__version__ = "0.1.0"
