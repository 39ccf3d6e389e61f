"""The version of Impasto. CHANGELOG.md must begin with the same one."""

__version__ = "0.1.0"
