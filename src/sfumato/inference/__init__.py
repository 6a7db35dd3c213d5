"""Pictures through ONNX Runtime: no torch."""

from sfumato.inference.stylizer import Style, Stylizer

__all__ = ["Style", "Stylizer"]
