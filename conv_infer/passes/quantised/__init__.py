"""The parts of the pass `fuse_quantised`."""
