"""What precedes onnxruntime's quantiser, which stores its models by what it was given before that."""

import shutil


def quant_pre_process(source: str, folded: str, **_: object) -> None:
    shutil.copy(source, folded)
