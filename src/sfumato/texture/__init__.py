"""Textures of games and 3D models: PBR sets and glTF files, whose colours are painted in a style.

This package is not public: its names may change. Textures that repeat are painted by `inference.seamless`.
"""
