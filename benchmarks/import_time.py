"""What `import contrast` costs on top of `import keras`, on the backend of KERAS_BACKEND; prints JSON."""

import argparse
import json
import os
import statistics
import subprocess
import sys

PROGRAM = """
import time
started = time.perf_counter()
import keras
middle = time.perf_counter()
import contrast
print(keras.config.backend(), middle - started, time.perf_counter() - middle)
"""


def measure(repetitions: int) -> dict:
    """Medians over fresh processes; the first one, which warms the disk cache, does not count."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    rows = []
    for _ in range(repetitions + 1):
        command = [sys.executable, "-c", PROGRAM]
        output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        rows.append(output.split())
    keras_seconds, contrast_seconds = (
        statistics.median(float(row[column]) for row in rows[1:]) for column in (1, 2)
    )
    return {
        "backend": rows[0][0],
        "keras_seconds": round(keras_seconds, 3),
        "contrast_seconds": round(contrast_seconds, 3),
        "ratio": round(contrast_seconds / keras_seconds, 4),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    print(json.dumps(measure(parser.parse_args().repetitions), indent=2))
