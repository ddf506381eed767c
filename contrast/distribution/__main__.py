"""`python -m contrast.distribution --processes N PROGRAM [ARGUMENTS]`: see `contrast.distribution.launch`."""

import argparse
import sys

from contrast.distribution.launcher import launch


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m contrast.distribution", description=launch.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--processes", type=int, required=True, help="how many, at least 1")
    parser.add_argument("program", help="a Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    return launch([sys.executable, options.program, *options.arguments], options.processes)


if __name__ == "__main__":
    sys.exit(main())
