"""The operator table: every ONNX operator that conv_infer knows, what it makes of shapes and types, how it is lowered.

To add an operator: one entry here, its rules in the file of its family. `operator.Operator` says what the columns mean;
operators that are not listed run through the reference, with outputs whose shapes are not known ahead of the run.
"""

from __future__ import annotations

import numpy as np

from ..graph import MICROSOFT, ONNX
from . import (
    convolution,
    elementwise,
    generators,
    joining,
    lower_convolution,
    lower_matmul,
    lower_movement,
    lower_normalise,
    lower_pool,
    lower_reduce,
    lower_resize,
    lower_shape,
    matmul,
    normalisation,
    pooling,
    quantisation,
    recurrent,
    reductions,
    resize,
    shapes,
    slicing,
)
from .elementwise import binary, broadcast, fold_left, pair, same_shape, unary
from .lower_activation import lower_activation
from .lower_binary import lower_binary
from .operator import Operator
from .reductions import reduce_with, reduction
from .shapes import reshaped_by

_WINDOW = "auto_pad kernel_shape pads strides"
_CONV = f"{_WINDOW} dilations group"
_LEGACY = "axis@-6 broadcast@-6 consumed_inputs@-5"
_REDUCE = "axes@-17 keepdims noop_with_empty_axes@18"
_RESIZE = (
    "mode coordinate_transformation_mode@11 nearest_mode@11 cubic_coeff_a@11 exclude_outside@11 extrapolation_value@11 "
    "antialias@18 axes@18 keep_aspect_ratio_policy@18"
)
_RECURRENT = "activation_alpha activation_beta activations clip direction hidden_size layout@14 output_sequence@-6"
_QUANTISE = "axis@13 saturate@19 block_size@21 output_dtype@21 precision@23"


def _unary(function=None, attributes: str = "", signature: str = "F -> F", lower=None) -> Operator:
    """An operator that maps every element of one tensor."""
    evaluate = None if function is None else unary(function)
    return Operator(signature, attributes, same_shape, evaluate=evaluate, lower=lower)


def _arithmetic(function, lower=None) -> Operator:
    """A binary operator on numbers."""
    return Operator("N N -> N", _LEGACY, binary, evaluate=pair(function), lower=lower)


def _relation(function, signature: str = "N N -> bool") -> Operator:
    """A binary operator that answers true or false."""
    return Operator(signature, _LEGACY, binary, evaluate=pair(function, np.bool_))


def _reduce(function=None, attributes: str = _REDUCE, axes: str = "int64?@18", lower=None) -> Operator:
    """A Reduce* operator: the axes become an input."""
    evaluate = None if function is None else reduce_with(function)
    return Operator(f"N {axes} -> N", attributes, reduction, evaluate=evaluate, lower=lower)


OPERATORS: dict[tuple[str, str], Operator] = {
    # Element by element, one tensor
    (ONNX, "Abs"): _unary(np.abs, signature="N -> N", lower=lower_activation),
    (ONNX, "Acos"): _unary(np.arccos),
    (ONNX, "Acosh"): _unary(np.arccosh),
    (ONNX, "Asin"): _unary(np.arcsin),
    (ONNX, "Asinh"): _unary(np.arcsinh),
    (ONNX, "Atan"): _unary(np.arctan),
    (ONNX, "Atanh"): _unary(np.arctanh),
    (ONNX, "BitwiseNot"): _unary(np.bitwise_not, signature="N -> N"),
    (ONNX, "Ceil"): _unary(np.ceil, lower=lower_activation),
    (ONNX, "Cos"): _unary(np.cos, lower=lower_activation),
    (ONNX, "Cosh"): _unary(np.cosh),
    (ONNX, "Erf"): _unary(signature="N -> N", lower=lower_activation),
    (ONNX, "Exp"): _unary(np.exp, lower=lower_activation),
    (ONNX, "Floor"): _unary(np.floor, lower=lower_activation),
    (ONNX, "IsInf"): Operator("F -> bool", "detect_negative detect_positive", same_shape, evaluate=elementwise.is_inf),
    (ONNX, "IsNaN"): Operator("F -> bool", "", same_shape, evaluate=lambda node, arrays: [np.isnan(arrays[0])]),
    (ONNX, "Log"): _unary(np.log, lower=lower_activation),
    (ONNX, "Neg"): _unary(np.negative, signature="N -> N", lower=lower_activation),
    (ONNX, "Not"): _unary(np.logical_not, signature="B -> B"),
    (ONNX, "Reciprocal"): _unary(np.reciprocal, lower=lower_activation),
    (ONNX, "Round"): _unary(np.rint, lower=lower_activation),
    (ONNX, "Sign"): _unary(np.sign, signature="N -> N"),
    (ONNX, "Sin"): _unary(np.sin, lower=lower_activation),
    (ONNX, "Sinh"): _unary(np.sinh),
    (ONNX, "Sqrt"): _unary(np.sqrt, lower=lower_activation),
    (ONNX, "Tan"): _unary(np.tan),
    (ONNX, "Tanh"): _unary(np.tanh, lower=lower_activation),
    # Activations
    (ONNX, "Celu"): _unary(attributes="alpha", lower=lower_activation),
    (ONNX, "Clip"): Operator(
        "N N?@11 N?@11 -> N",
        "min@-10 max@-10",
        elementwise.clip,
        evaluate=elementwise.evaluate_clip,
        lower=lower_activation,
    ),
    (ONNX, "Elu"): _unary(attributes="alpha", lower=lower_activation),
    (ONNX, "Gelu"): _unary(attributes="approximate", lower=lower_activation),
    (ONNX, "HardSigmoid"): _unary(attributes="alpha beta", lower=lower_activation),
    (ONNX, "HardSwish"): _unary(lower=lower_activation),
    (ONNX, "LeakyRelu"): Operator(
        "F -> F", "alpha", same_shape, evaluate=elementwise.leaky_relu, lower=lower_activation
    ),
    (ONNX, "Mish"): _unary(lower=lower_activation),
    (ONNX, "PRelu"): Operator(
        "N N -> N", "", elementwise.prelu, evaluate=elementwise.evaluate_prelu, lower=lower_binary
    ),
    (ONNX, "Relu"): _unary(elementwise.relu, signature="N -> N", lower=lower_activation),
    (ONNX, "Selu"): _unary(attributes="alpha gamma", lower=lower_activation),
    (ONNX, "Shrink"): _unary(attributes="bias lambd", signature="N -> N"),
    (ONNX, "Sigmoid"): _unary(elementwise.sigmoid, lower=lower_activation),
    (ONNX, "Softplus"): _unary(lower=lower_activation),
    (ONNX, "Softsign"): _unary(lower=lower_activation),
    (ONNX, "SwiGLU"): Operator("F F -> F", "alpha", broadcast),
    (ONNX, "Swish"): _unary(attributes="alpha", lower=lower_activation),
    (ONNX, "ThresholdedRelu"): _unary(attributes="alpha"),
    # Element by element, several tensors
    (ONNX, "Add"): _arithmetic(np.add, lower=lower_binary),
    (ONNX, "And"): _relation(np.logical_and, "B B -> bool"),
    (ONNX, "BitShift"): Operator("N N -> N", "direction", binary, evaluate=elementwise.bit_shift),
    (ONNX, "BitwiseAnd"): _arithmetic(np.bitwise_and),
    (ONNX, "BitwiseOr"): _arithmetic(np.bitwise_or),
    (ONNX, "BitwiseXor"): _arithmetic(np.bitwise_xor),
    (ONNX, "Div"): _arithmetic(elementwise.divide, lower=lower_binary),
    (ONNX, "Equal"): _relation(np.equal, "T T -> bool"),
    (ONNX, "Greater"): _relation(np.greater),
    (ONNX, "GreaterOrEqual"): _relation(np.greater_equal),
    (ONNX, "Less"): _relation(np.less),
    (ONNX, "LessOrEqual"): _relation(np.less_equal),
    (ONNX, "Max"): Operator("N... -> N", "", broadcast, evaluate=fold_left(np.maximum), lower=lower_binary),
    (ONNX, "Mean"): Operator("F... -> F", "", broadcast, evaluate=elementwise.mean, lower=lower_binary),
    (ONNX, "Min"): Operator("N... -> N", "", broadcast, evaluate=fold_left(np.minimum), lower=lower_binary),
    (ONNX, "Mod"): Operator("N N -> N", "fmod", binary, evaluate=elementwise.modulo),
    (ONNX, "Mul"): _arithmetic(np.multiply, lower=lower_binary),
    (ONNX, "Or"): _relation(np.logical_or, "B B -> bool"),
    (ONNX, "Pow"): Operator("N N1 -> N", _LEGACY, binary, evaluate=pair(elementwise.power), lower=lower_binary),
    (ONNX, "Sub"): _arithmetic(np.subtract, lower=lower_binary),
    (ONNX, "Sum"): Operator("F... -> F", "", broadcast, evaluate=fold_left(np.add), lower=lower_binary),
    (ONNX, "Where"): Operator("B T T -> T", "", broadcast, evaluate=elementwise.where),
    (ONNX, "Xor"): _relation(np.logical_xor, "B B -> bool"),
    # Convolution and matrix products
    (ONNX, "Conv"): Operator("F F F? -> F", _CONV, convolution.convolution, lower=lower_convolution.lower_conv),
    (ONNX, "ConvInteger"): Operator("E E1 E? E1? -> int32", _CONV, quantisation.integer_convolution),
    (ONNX, "ConvTranspose"): Operator(
        "F F F? -> F",
        f"{_CONV} output_padding output_shape",
        convolution.transposed_convolution,
        lower=lower_convolution.lower_conv_transpose,
    ),
    (ONNX, "DeformConv"): Operator(
        "F F F F? F? -> F", "dilations group kernel_shape offset_group pads strides", convolution.deformable_convolution
    ),
    (ONNX, "Einsum"): Operator("N... -> N", "equation", matmul.einsum),
    (ONNX, "Gemm"): Operator(
        "N N N? -> N",
        "alpha beta transA transB broadcast@-6",
        matmul.gemm,
        evaluate=matmul.evaluate_gemm,
        lower=lower_matmul.lower_gemm,
    ),
    (ONNX, "MatMul"): Operator(
        "N N -> N", "", matmul.matmul, evaluate=matmul.evaluate_matmul, lower=lower_matmul.lower_matmul
    ),
    (ONNX, "MatMulInteger"): Operator("E E1 E? E1? -> int32", "", quantisation.integer_matmul),
    (ONNX, "QLinearConv"): Operator(
        "E float32 E E1 float32 E1 float32 E2 int32? -> E2", _CONV, quantisation.qlinear_convolution
    ),
    (ONNX, "QLinearMatMul"): Operator("E F E E1 F1 E1 F2 E2 -> E2", "", quantisation.qlinear_matmul),
    # Pooling
    (ONNX, "AveragePool"): Operator(
        "F -> F",
        f"{_WINDOW} ceil_mode@10 count_include_pad@7 dilations@19",
        pooling.pooling,
        lower=lower_pool.lower_average_pool,
    ),
    (ONNX, "GlobalAveragePool"): Operator(
        "F -> F", "", pooling.global_pooling, lower=lower_pool.lower_global_average_pool
    ),
    (ONNX, "GlobalLpPool"): Operator("F -> F", "p", pooling.global_pooling),
    (ONNX, "GlobalMaxPool"): Operator("F -> F", "", pooling.global_pooling, lower=lower_pool.lower_global_max_pool),
    (ONNX, "LpPool"): Operator("F -> F", f"{_WINDOW} p ceil_mode@18 dilations@18", pooling.pooling),
    (ONNX, "MaxPool"): Operator(
        "N -> N int64",
        f"{_WINDOW} ceil_mode@10 dilations@10 storage_order@8",
        pooling.pooling,
        lower=lower_pool.lower_max_pool,
    ),
    (ONNX, "MaxUnpool"): Operator("F int64 int64? -> F", "kernel_shape pads strides", pooling.max_unpool),
    # Recurrent layers
    (ONNX, "GRU"): Operator("F F F F? int32? F? -> F F", f"{_RECURRENT} linear_before_reset", recurrent.recurrent),
    (ONNX, "LSTM"): Operator("F F F F? int32? F? F? F? -> F F F", f"{_RECURRENT} input_forget", recurrent.recurrent),
    (ONNX, "RNN"): Operator("F F F F? int32? F? -> F F", _RECURRENT, recurrent.recurrent),
    # Normalisation
    (ONNX, "BatchNormalization"): Operator(
        "F F1 F1 F2 F2 -> F F2 F2 F2 F2",
        "epsilon momentum spatial@-8 is_test@-6 training_mode@14 consumed_inputs@-5",
        normalisation.batch_normalization,
        evaluate=normalisation.evaluate_batch_normalization,
        lower=lower_normalise.lower_batch_normalization,
    ),
    (ONNX, "GroupNormalization"): Operator(
        "F F F -> F",
        "epsilon num_groups stash_type@21",
        normalisation.group_normalization,
        lower=lower_normalise.lower_group_normalization,
    ),
    (ONNX, "InstanceNormalization"): Operator(
        "F F F -> F",
        "epsilon",
        normalisation.instance_normalization,
        lower=lower_normalise.lower_instance_normalization,
    ),
    (ONNX, "LRN"): Operator(
        "F -> F", "alpha beta bias size", normalisation.local_response, lower=lower_normalise.lower_lrn
    ),
    (ONNX, "LayerNormalization"): Operator(
        "F F F? -> F * *",
        "axis epsilon stash_type",
        normalisation.layer_normalization,
        dtypes=normalisation.layer_normalization_types,
        lower=lower_normalise.lower_layer_normalization,
    ),
    (ONNX, "LpNormalization"): Operator("F -> F", "axis p", normalisation.lp_normalization),
    (ONNX, "MeanVarianceNormalization"): Operator("F -> F", "axes", normalisation.mean_variance_normalization),
    (ONNX, "RMSNormalization"): Operator("F F1 -> F1", "axis epsilon stash_type", normalisation.layer_normalization),
    # Reductions, softmax
    (ONNX, "ArgMax"): Operator(
        "N -> int64",
        "axis keepdims select_last_index@12",
        reductions.arg_reduction,
        evaluate=reductions.arg_with(np.argmax),
    ),
    (ONNX, "ArgMin"): Operator(
        "N -> int64",
        "axis keepdims select_last_index@12",
        reductions.arg_reduction,
        evaluate=reductions.arg_with(np.argmin),
    ),
    (ONNX, "CumProd"): Operator("N I -> N", "exclusive reverse", reductions.cumulative),
    (ONNX, "CumSum"): Operator("N I -> N", "exclusive reverse", reductions.cumulative),
    (ONNX, "Hardmax"): Operator("F -> F", "axis", reductions.softmax),
    (ONNX, "LogSoftmax"): Operator(
        "F -> F", "axis", reductions.softmax, evaluate=reductions.evaluate_softmax, lower=lower_reduce.lower_softmax
    ),
    (ONNX, "ReduceL1"): _reduce(reductions.l1, lower=lower_reduce.lower_reduce),
    (ONNX, "ReduceL2"): _reduce(reductions.l2, lower=lower_reduce.lower_reduce),
    (ONNX, "ReduceLogSum"): _reduce(lower=lower_reduce.lower_reduce),
    (ONNX, "ReduceLogSumExp"): _reduce(lower=lower_reduce.lower_reduce),
    (ONNX, "ReduceMax"): Operator(
        "T int64?@18 -> T", _REDUCE, reduction, evaluate=reduce_with(np.max), lower=lower_reduce.lower_reduce
    ),
    (ONNX, "ReduceMean"): _reduce(np.mean, lower=lower_reduce.lower_reduce),
    (ONNX, "ReduceMin"): Operator(
        "T int64?@18 -> T", _REDUCE, reduction, evaluate=reduce_with(np.min), lower=lower_reduce.lower_reduce
    ),
    (ONNX, "ReduceProd"): _reduce(np.prod, lower=lower_reduce.lower_reduce),
    (ONNX, "ReduceSum"): _reduce(
        np.sum, "axes@-12 keepdims noop_with_empty_axes@13", "int64?@13", lower=lower_reduce.lower_reduce
    ),
    (ONNX, "ReduceSumSquare"): _reduce(reductions.sum_square, lower=lower_reduce.lower_reduce),
    (ONNX, "Softmax"): Operator(
        "F -> F", "axis", reductions.softmax, evaluate=reductions.evaluate_softmax, lower=lower_reduce.lower_softmax
    ),
    (ONNX, "TopK"): Operator("N int64@10 -> N int64", "axis k@-9 largest@11 sorted@11", reductions.top_k),
    # Shapes
    (ONNX, "Cast"): Operator(
        "T -> *",
        "to saturate@19 round_mode@24",
        same_shape,
        dtypes=shapes.cast_type,
        evaluate=shapes.evaluate_cast,
        lower=lower_shape.lower_cast,
    ),
    (ONNX, "CastLike"): Operator(
        "T T1 -> T1",
        "saturate@19 round_mode@24",
        same_shape,
        evaluate=shapes.evaluate_cast,
        lower=lower_shape.lower_cast,
    ),
    (ONNX, "DepthToSpace"): Operator(
        "T -> T", "blocksize mode@11", shapes.depth_to_space, lower=lower_shape.lower_depth_to_space
    ),
    (ONNX, "Dropout"): Operator(
        "T F?@12 B?@12 -> * *",
        "ratio@-11 is_test@-6 seed@12 consumed_inputs@-5",
        shapes.dropout,
        dtypes=shapes.dropout_types,
        evaluate=shapes.evaluate_dropout,
        lower=lower_shape.lower_dropout,
    ),
    (ONNX, "Expand"): Operator(
        "T int64 -> T", "", shapes.expand, evaluate=shapes.evaluate_expand, lower=lower_shape.lower_expand
    ),
    (ONNX, "Flatten"): Operator(
        "T -> T", "axis", shapes.flatten, evaluate=reshaped_by(shapes.flatten), lower=lower_shape.lower_reshape
    ),
    (ONNX, "Identity"): Operator("T -> T", "", same_shape, evaluate=shapes.identity, lower=lower_shape.lower_identity),
    (ONNX, "Reshape"): Operator(
        "T int64 -> T",
        "allowzero@14",
        shapes.reshape,
        evaluate=shapes.evaluate_reshape,
        lower=lower_shape.lower_reshape,
    ),
    (ONNX, "Shape"): Operator(
        "T -> int64", "start@15 end@15", shapes.shape_of, evaluate=shapes.evaluate_shape, shape_only=True
    ),
    (ONNX, "Size"): Operator("T -> int64", "", shapes.size_of, evaluate=shapes.evaluate_size, shape_only=True),
    (ONNX, "SpaceToDepth"): Operator(
        "T -> T", "blocksize mode@28", shapes.space_to_depth, lower=lower_shape.lower_space_to_depth
    ),
    (ONNX, "Squeeze"): Operator(
        "T int64?@13 -> T",
        "axes@-12",
        shapes.squeeze,
        evaluate=reshaped_by(shapes.squeeze),
        lower=lower_shape.lower_reshape,
    ),
    (ONNX, "Tile"): Operator(
        "T int64 -> T", "", shapes.tile, evaluate=shapes.evaluate_tile, lower=lower_shape.lower_tile
    ),
    (ONNX, "Transpose"): Operator(
        "T -> T", "perm", shapes.transpose, evaluate=shapes.evaluate_transpose, lower=lower_shape.lower_transpose
    ),
    (ONNX, "Trilu"): Operator("T int64? -> T", "upper", same_shape),
    (ONNX, "Unsqueeze"): Operator(
        "T int64@13 -> T",
        "axes@-12",
        shapes.unsqueeze,
        evaluate=reshaped_by(shapes.unsqueeze),
        lower=lower_shape.lower_reshape,
    ),
    # Picking, placing, joining
    (ONNX, "CenterCropPad"): Operator("T I -> T", "axes", slicing.center_crop_pad),
    (ONNX, "Compress"): Operator("T B -> T", "axis", generators.compress),
    (ONNX, "Concat"): Operator(
        "T... -> T", "axis", joining.concat, evaluate=joining.evaluate_concat, lower=lower_movement.lower_concat
    ),
    (ONNX, "Gather"): Operator(
        "T I -> T", "axis", slicing.gather, evaluate=slicing.evaluate_gather, lower=lower_movement.lower_gather
    ),
    (ONNX, "GatherElements"): Operator("T I -> T", "axis", slicing.gather_elements),
    (ONNX, "GatherND"): Operator("T int64 -> T", "batch_dims@12", slicing.gather_nd),
    (ONNX, "Pad"): Operator(
        "T int64@11 T?@11 I?@18 -> T",
        "mode pads@-10 value@-10",
        slicing.pad,
        evaluate=slicing.evaluate_pad,
        lower=lower_movement.lower_pad,
    ),
    (ONNX, "Scatter"): Operator("T I T -> T", "axis", slicing.scatter_elements),
    (ONNX, "ReverseSequence"): Operator("T int64 -> T", "batch_axis time_axis", same_shape),
    (ONNX, "ScatterElements"): Operator("T I T -> T", "axis reduction@16", slicing.scatter_elements),
    (ONNX, "ScatterND"): Operator("T int64 T -> T", "reduction@16", slicing.scatter_nd),
    (ONNX, "Slice"): Operator(
        "T I@10 I@10 I?@10 I?@10 -> T",
        "starts@-9 ends@-9 axes@-9",
        slicing.slice_,
        evaluate=slicing.evaluate_slice,
        lower=lower_movement.lower_slice,
    ),
    (ONNX, "Split"): Operator(
        "T int64?@13 -> T...",
        "axis split@-12 num_outputs@18",
        joining.split,
        evaluate=joining.evaluate_split,
        lower=lower_movement.lower_split,
    ),
    # Resampling
    (ONNX, "AffineGrid"): Operator("F int64 -> F", "align_corners", resize.affine_grid),
    (ONNX, "GridSample"): Operator("T T1 -> T", "align_corners mode padding_mode", resize.grid_sample),
    (ONNX, "Resize"): Operator(
        "T F?@10 float32?@11 int64?@11 -> T", _RESIZE, resize.resize, lower=lower_resize.lower_resize
    ),
    (ONNX, "RoiAlign"): Operator(
        "F F int64 -> F",
        "mode output_height output_width sampling_ratio spatial_scale coordinate_transformation_mode@16",
        resize.roi_align,
    ),
    (ONNX, "Upsample"): Operator("T float32@9 -> T", "mode scales@-8", resize.resize, lower=lower_resize.lower_resize),
    # Values
    (ONNX, "ConstantOfShape"): Operator(
        "int64 -> *",
        "value",
        generators.constant_of_shape,
        dtypes=generators.constant_of_shape_type,
        evaluate=generators.evaluate_constant_of_shape,
    ),
    (ONNX, "EyeLike"): Operator(
        "T -> *",
        "dtype k",
        generators.eye_like,
        dtypes=generators.eye_like_type,
        evaluate=generators.evaluate_eye_like,
        shape_only=True,
    ),
    (ONNX, "NonMaxSuppression"): Operator(
        "float32 float32 int64? float32? float32? -> int64", "center_point_box", generators.non_max_suppression
    ),
    (ONNX, "NonZero"): Operator("T -> int64", "", generators.non_zero, evaluate=generators.evaluate_non_zero),
    (ONNX, "OneHot"): Operator("N N1 T -> T", "axis", generators.one_hot, evaluate=generators.evaluate_one_hot),
    (ONNX, "Range"): Operator("N N N -> N", "stash_type@27", generators.range_, evaluate=generators.evaluate_range),
    # Quantisation
    (ONNX, "DequantizeLinear"): Operator(
        "Q F Q? -> *",
        _QUANTISE,
        quantisation.quantise,
        dtypes=quantisation.dequantised_type,
        evaluate=quantisation.evaluate_dequantise,
    ),
    (ONNX, "DynamicQuantizeLinear"): Operator("float32 -> uint8 float32 uint8", "", quantisation.dynamic_quantise),
    (ONNX, "QuantizeLinear"): Operator(
        "N F Q? -> *",
        _QUANTISE,
        quantisation.quantise,
        dtypes=quantisation.quantised_type,
        evaluate=quantisation.evaluate_quantise,
    ),
    # onnxruntime's quantised operators
    (MICROSOFT, "DequantizeLinear"): Operator(
        "Q F Q? -> *", "axis", quantisation.quantise, dtypes=quantisation.dequantised_type
    ),
    (MICROSOFT, "QGemm"): Operator(
        "E float32 E E1 float32 E1 int32? float32? E2? -> *",
        "alpha transA transB",
        quantisation.qgemm,
        dtypes=quantisation.qgemm_type,
    ),
    (MICROSOFT, "QLinearAdd"): Operator("E float32 E? E float32 E? float32 E? -> E", "", quantisation.qlinear_binary),
    (MICROSOFT, "QLinearAveragePool"): Operator(
        "E float32 E? float32 E? -> E",
        f"{_WINDOW} ceil_mode channels_last count_include_pad",
        quantisation.qlinear_average_pool,
    ),
    (MICROSOFT, "QLinearConcat"): Operator("float32 E E float32 E *?... -> E", "axis", joining.qlinear_concat),
    (MICROSOFT, "QLinearGlobalAveragePool"): Operator(
        "E float32 E float32 E -> E", "channels_last", quantisation.qlinear_global_average_pool
    ),
    (MICROSOFT, "QLinearLeakyRelu"): Operator("E float32 E? float32 E? -> E", "alpha", quantisation.qlinear_unary),
    (MICROSOFT, "QLinearMul"): Operator("E float32 E? E float32 E? float32 E? -> E", "", quantisation.qlinear_binary),
    (MICROSOFT, "QLinearSigmoid"): Operator("E float32 E? float32 E? -> E", "", quantisation.qlinear_unary),
    (MICROSOFT, "QLinearSoftmax"): Operator("E float32 E? float32 E? -> E", "axis opset", quantisation.qlinear_softmax),
    (MICROSOFT, "QuantizeLinear"): Operator(
        "N F Q? -> *", "axis", quantisation.quantise, dtypes=quantisation.quantised_type
    ),
}
