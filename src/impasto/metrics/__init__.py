"""Measures of stylized pictures, by networks and statistics that no objective in Impasto uses.

docs/measure.md defines each.
"""
