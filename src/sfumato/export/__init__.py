"""Export: torch to ONNX, checked before it is kept."""
