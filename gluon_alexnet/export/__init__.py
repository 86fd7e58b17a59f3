"""Exported nets: symbol and parameters, ONNX, 8-bit integers."""
