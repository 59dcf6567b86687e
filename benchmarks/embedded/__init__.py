"""Layers and networks on emulated Cortex-M boards, counted in instructions: `python -m benchmarks.embedded`."""
