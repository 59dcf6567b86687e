"""Which models are measured, and on what inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

DEFAULT_NETWORKS = (
    "shufflenet_v1_g3",
    "shufflenet_v1_g8",
    "shufflenet_v2",
    "mobilenet_v2",
    "squeezenet1_1",
    "resnext50_32x4d",
    "resnet18",
    "resnet50",
    "alexnet",
)


class Variant:
    """A model file to measure.

    network: its name in tables. kind: its arithmetic. path: the .onnx file. feeds: an .npz of arrays by input name.
    others: the same network in other arithmetic, kind -> path, which only conv_infer runs.
    """

    __slots__ = ("feeds", "kind", "network", "others", "path")

    def __init__(self, network: str, kind: str, path: Path, feeds: Path, others: dict[str, Path] | None = None):
        self.network = network
        self.kind = kind
        self.path = path
        self.feeds = feeds
        self.others = others or {}

    @property
    def files(self) -> list[Path]:
        return [self.path, *self.others.values()]


def variants(
    networks: Sequence[str], folder: Path, shapes: dict[str, tuple[int, ...]], int8: bool = False
) -> Iterator[Variant]:
    """The models to measure, made in `folder` as they are wanted.

    `networks` are names of the zoo or paths of .onnx files; `shapes` chooses the sizes that files leave open (an open
    first size is 1). With `int8` they are quantised. Raises ValueError where a name is unknown or a size stays open.
    """
    for network in networks:
        variant = float32_variant(network, folder, shapes)
        yield int8_variant(variant, folder) if int8 else variant


def int8_variant(variant: Variant, folder: Path) -> Variant:
    """The network as onnxruntime's quantiser writes it (QDQ, per channel), with unsigned activations; beside it with
    signed ones, and in float32."""
    import onnx

    from models.quantise import quantise

    model = onnx.load(variant.path)
    with np.load(variant.feeds) as archive:
        feeds = dict(archive)
    paths = {}
    for activations in ("u8", "s8"):
        paths[activations] = folder / f"{variant.network}.{activations}s8.onnx"
        onnx.save(quantise(model, [feeds], activations=activations), paths[activations])
    return Variant(variant.network, "u8s8", paths["u8"], variant.feeds, {"s8s8": paths["s8"], "float32": variant.path})


def float32_variant(network: str, folder: Path, shapes: dict[str, tuple[int, ...]]) -> Variant:
    from models import zoo

    if network in zoo.NETWORKS:
        path = folder / f"{network}.onnx"
        path.write_bytes(zoo.build(network).SerializeToString())
        feeds = {"input": zoo.sample_input(network)}
        name = network
    elif Path(network).is_file():
        path = Path(network).resolve()
        feeds = random_inputs(path, shapes)
        name = path.stem if path.stem != "model" else path.parent.name
    else:
        raise ValueError(f"'{network}' is neither a file nor one of the zoo: {', '.join(zoo.NETWORKS)}")
    feeds_path = folder / f"{name}.npz"
    np.savez(feeds_path, **feeds)
    return Variant(name, "float32", path, feeds_path)


def random_inputs(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Seeded inputs for the model in a file."""
    import onnx

    from conv_infer.feeds import random_feeds

    graph = onnx.load(path, load_external_data=False).graph
    filled = {tensor.name for tensor in graph.initializer}
    inputs = []
    chosen = {}
    for value in graph.input:
        if value.name in filled:
            continue
        tensor = value.type.tensor_type
        inputs.append(
            SimpleNamespace(name=value.name, dtype=np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
        )
        declared = [dim.dim_value for dim in tensor.shape.dim]
        shape = shapes.get(value.name, tuple([declared[0] or 1, *declared[1:]] if declared else []))
        if not all(shape):
            raise ValueError(f"{path}: say the shape of input '{value.name}': --shape {value.name}=SIZE,SIZE,...")
        chosen[value.name] = shape
    return random_feeds(inputs, chosen)
