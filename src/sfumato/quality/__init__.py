"""Measures of how good stylised pictures are, and how sure one may be of them."""
