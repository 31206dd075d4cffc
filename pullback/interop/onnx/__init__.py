"""ONNX: files to networks and back."""
