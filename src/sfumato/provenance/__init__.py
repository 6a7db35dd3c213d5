"""Where a picture comes from: the invisible mark in its pixels."""
