"""Data: folders of pictures to batches, keyed by seed and step."""
