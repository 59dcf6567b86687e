"""Runs ONNX convolutional networks on CPUs."""
