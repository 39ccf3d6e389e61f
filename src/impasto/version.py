"""The version of Impasto; CHANGELOG.md begins with the same."""

__version__ = "0.1.0"
