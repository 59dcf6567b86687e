"""The errors conv_infer raises: one base class, one subclass for each thing that can be at fault."""

from __future__ import annotations


class ConvInferError(Exception):
    """Base of every error that conv_infer raises on purpose."""


class ModelError(ConvInferError, ValueError):
    """The model is damaged or contradicts the ONNX specification."""


class UnsupportedError(ConvInferError, NotImplementedError):
    """The model is legal, but asks for something that conv_infer does not do."""


class InputError(ConvInferError, ValueError):
    """An argument of the caller is at fault: a missing, extra, misshapen or mistyped input, a bad option."""


class MemoryLimitError(ConvInferError, MemoryError):
    """The network needs more memory than `max_memory` (or the machine) allows."""
