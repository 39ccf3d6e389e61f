"""Measures of stylized pictures, by networks and statistics that no objective here uses.

docs/measure.md defines each.
"""
