"""Matrix products: Gemm, MatMul and their integer forms, Einsum."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from .checks import Shape, dims, integer, model_error, number, tensor

# Where the operators keep their second matrix.
_SECOND = {"MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3}


def product_shape(node: Node, a: Shape, b: Shape) -> Shape:
    """The shape of a matrix product by NumPy's rule: vectors are promoted, batch dimensions broadcast."""
    second = _SECOND[node.op]
    if not a or not b:
        raise model_error(node, f"{tensor(node, 0, a)} and {tensor(node, second, b)}: scalars have no matrix product")
    left = a if len(a) > 1 else (1, *a)
    right = b if len(b) > 1 else (*b, 1)
    if left[-1] != right[-2]:
        raise model_error(
            node,
            f"{tensor(node, 0, a)} and {tensor(node, second, b)} do not multiply: {left[-1]} columns, {right[-2]} rows",
        )
    rank = max(len(left), len(right))
    batch = []
    for one, other in zip((1,) * (rank - len(left)) + left[:-2], (1,) * (rank - len(right)) + right[:-2], strict=True):
        if one != other and 1 not in (one, other):
            raise model_error(node, f"{tensor(node, 0, a)} and {tensor(node, second, b)}: batch dimensions differ")
        batch.append(other if one == 1 else one)
    return (*batch, *(left[-2:-1] if len(a) > 1 else ()), *(right[-1:] if len(b) > 1 else ()))


def matmul(node: Node, shapes: list, constants: list) -> list:
    """MatMul-1/9/13, MatMulInteger-10, QLinearMatMul-10/21."""
    return [product_shape(node, shapes[0], shapes[_SECOND[node.op]])]


def evaluate_matmul(node: Node, arrays: list) -> list:
    """MatMul."""
    return [np.asarray(np.matmul(arrays[0], arrays[1]))]


def resolve_gemm(node: Node, a: Shape, b: Shape) -> tuple[int, int, int]:
    """M, N and K of Gemm (and QGemm): [M,K] x [K,N], after the transpositions that the attributes ask for."""
    second = 1 if node.op == "Gemm" else 3
    if len(a) != 2 or len(b) != 2:
        raise model_error(node, f"{tensor(node, 0, a)} and {tensor(node, second, b)} must be matrices")
    m, k = reversed(a) if integer(node, "transA", 0) else a
    rows, n = reversed(b) if integer(node, "transB", 0) else b
    if k != rows:
        raise model_error(
            node, f"{tensor(node, 0, a)} and {tensor(node, second, b)} do not multiply: {k} columns, {rows} rows"
        )
    return m, n, k


def gemm(node: Node, shapes: list, constants: list) -> list:
    """Gemm-6/7/9/11/13: C broadcasts to [M,N] (up to opset 6 only with attribute `broadcast`)."""
    m, n, _ = resolve_gemm(node, shapes[0], shapes[1])
    added = shapes[2] if len(shapes) > 2 else None
    if added is not None:
        fits = len(added) <= 2 and all(size in (1, whole) for size, whole in zip(reversed(added), (n, m), strict=False))
        if node.version < 7 and not integer(node, "broadcast", 0):
            fits = added == (m, n)
        if not fits:
            raise model_error(node, f"{tensor(node, 2, added)} does not broadcast to {dims((m, n))}")
    return [(m, n)]


def evaluate_gemm(node: Node, arrays: list) -> list:
    """Gemm."""
    a, b = arrays[:2]
    product = np.matmul(a.T if integer(node, "transA", 0) else a, b.T if integer(node, "transB", 0) else b)
    result = product * number(node, "alpha", 1.0)
    if len(arrays) > 2 and arrays[2] is not None:
        result = result + arrays[2] * number(node, "beta", 1.0)
    return [np.asarray(result, dtype=a.dtype)]


def einsum(node: Node, shapes: list, constants: list) -> list:
    """Einsum-12: letters name dimensions; `...` and sums over repeated letters are left to the reference."""
    equation = node.attrs.get("equation")
    if not isinstance(equation, str):
        raise model_error(node, f"attribute 'equation' is {equation!r}; a string is expected")
    terms, arrow, output = equation.replace(" ", "").partition("->")
    letters: dict[str, int] = {}
    if "." in equation or not arrow:
        return [None]
    operands = terms.split(",")
    if len(operands) != len(shapes):
        raise model_error(
            node, f"attribute 'equation' is '{equation}', of {len(operands)} operands; it has {len(shapes)} inputs"
        )
    for index, (operand, shape) in enumerate(zip(operands, shapes, strict=True)):
        if len(operand) != len(shape):
            raise model_error(node, f"{tensor(node, index, shape)} does not fit '{operand}' of equation '{equation}'")
        for letter, size in zip(operand, shape, strict=True):
            if letters.get(letter, 1) not in (1, size) and size != 1:
                raise model_error(
                    node, f"'{letter}' of equation '{equation}' stands for both {letters[letter]} and {size}"
                )
            letters[letter] = max(size, letters.get(letter, 1)) if size else 0
    if not set(output) <= set(letters):
        raise model_error(node, f"equation '{equation}' asks for letters that no operand has")
    return [tuple(letters[letter] for letter in output)]
