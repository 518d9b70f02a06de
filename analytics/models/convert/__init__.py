"""Makes ONNX files out of other formats, with NumPy alone: the same bytes on any machine."""

from analytics.models.convert.tfjs import Output, convert_tfjs

__all__ = ["Output", "convert_tfjs"]
