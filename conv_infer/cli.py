"""The command `conv-infer`: reads the arguments, hands them to the command's own file, turns errors into exit codes."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import warnings

from . import __version__

EXIT_CODES = """exit codes:
  0  done
  1  a check failed: results depart from the reference
  2  wrong usage, or a model or an input that cannot be used
"""
EXAMPLES = """examples:
  conv-infer run models/digits.onnx models/digits/3.png
  conv-infer inspect model.onnx --shape image=1,3,224,224
  conv-infer explain model.onnx conv1 --svg conv1.svg
  conv-infer verify model.onnx photo.jpg --layers
  conv-infer bench model.onnx --threads 1
"""

# The commands in the order of the help; each is a module with add_arguments(parser) and execute(options) -> exit code.
COMMANDS = {
    "run": ("cli_run", "run a model on an image or on arrays and print what it says"),
    "inspect": ("cli_inspect", "show a model's inputs and outputs, the plan, memory, and what is not native"),
    "explain": ("cli_explain", "draw how a convolution of a model is lowered to matrix products"),
    "verify": ("cli_verify", "compare results with onnxruntime's"),
    "bench": ("cli_bench", "measure how fast a model runs, and where the time goes"),
}
USAGE, INTERRUPTED, BROKEN_PIPE = 2, 128 + signal.SIGINT, 128 + 13


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser; only the module of `command` is imported (None: of none, for the help that lists them)."""
    parser = argparse.ArgumentParser(
        prog="conv-infer",
        description="Runs ONNX convolutional networks on the CPU.",
        epilog=EXAMPLES + "\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"conv-infer {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module_name, summary) in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == command:
            module = importlib.import_module(f".{module_name}", __package__)
            sub.description = module.__doc__
            sub.epilog = f"{module.EXAMPLES}\n{EXIT_CODES}"
            module.add_arguments(sub)
            sub.set_defaults(execute=module.execute)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line `arguments` (None: the process's own) and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command = next((argument for argument in arguments if argument in COMMANDS), None)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            options = build_parser(command).parse_args(arguments)
            code = options.execute(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("conv-infer: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone. What is still buffered must not fail again when the interpreter shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if not is_expected(error):
            raise
        print(f"conv-infer: {one_line(error)}", file=sys.stderr)
        return USAGE


def show_warning(message: Warning | str, *_: object) -> None:
    print(f"conv-infer: warning: {message}", file=sys.stderr)


def is_expected(error: Exception) -> bool:
    """True for what a caller can cause: such an error is told in a line, any other is a defect and keeps its trace."""
    from .errors import ConvInferError

    return isinstance(error, ConvInferError | OSError | MemoryError)


def one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__
