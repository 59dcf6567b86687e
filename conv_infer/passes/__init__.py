"""The passes that turn the specialised ONNX graph into planned operators, in one list.

Each is a pure function that takes a graph and returns another; the graph is validated after each.
"""

from __future__ import annotations

from ..graph import Graph
from .absorb_gathers import absorb_gathers
from .fold_affine import fold_affine
from .fold_padding import fold_padding
from .fuse_activations import fuse_activations
from .fuse_quantised import fuse_quantised
from .fuse_requantisations import fuse_requantisations
from .fuse_residuals import fuse_residuals
from .lower import lower
from .nest_concatenations import nest_concatenations
from .recognise_activations import recognise_activations
from .recognise_normalisation import recognise_normalisation
from .recognise_shuffle import recognise_shuffle
from .remove_dead import remove_dead
from .repeat_channels import repeat_channels
from .sink_reshapes import sink_reshapes
from .split_transposed import split_transposed
from .store_unsigned import store_unsigned
from .tidy import tidy
from .trim_windows import trim_windows
from .widen_dynamic import widen_dynamic
from .widen_float16 import widen_float16

PASSES = (
    # on the ONNX graph
    widen_float16,
    widen_dynamic,
    recognise_activations,
    fuse_quantised,
    recognise_shuffle,
    recognise_normalisation,
    remove_dead,
    # to planned operators, channels last
    lower,
    # on planned operators
    absorb_gathers,
    sink_reshapes,
    fold_affine,
    fuse_activations,
    split_transposed,
    fold_padding,
    trim_windows,
    fuse_residuals,
    repeat_channels,
    store_unsigned,
    fuse_requantisations,
    nest_concatenations,
    tidy,
)


def run_passes(graph: Graph) -> Graph:
    """The planned operators of a graph whose shapes are static and whose constant parts are folded."""
    for apply in PASSES:
        graph = apply(graph)
        graph.validate()
    return graph
