"""`python -m conv_infer` is the command `conv-infer`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
