import json
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence

logger = logging.getLogger("contrast")

HOST = "127.0.0.1"


def launch(command: Sequence[str], processes: int, grace: float = 5.0) -> int:
    """Runs a command in several processes of this machine that find each other, whatever the backend.

    Each gets what its backend reads: `TF_CONFIG`; Keras's `KERAS_DISTRIBUTION_...` for JAX; `RANK`,
    `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR` and `MASTER_PORT` for PyTorch, as torchrun sets them. They meet
    on free ports of the loopback. When one ends with an error, or is killed, the others are stopped. What
    others than the first print is not shown, their errors are.

    Args:
        command: program and arguments.
        processes: how many, at least 1.
        grace: seconds from the request to stop until a process is killed.

    Returns:
        0 if all ended well; otherwise the status of the first that did not, 128 and the number of the signal
        for one that was killed.

    Raises:
        ValueError: if `processes` is below 1.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}.")
    addresses = [f"{HOST}:{port}" for port in _free_ports(processes)]
    running = [
        subprocess.Popen(
            list(command),
            env={**os.environ, **process_environment(addresses, index)},
            stdout=None if index == 0 else subprocess.DEVNULL,
        )
        for index in range(processes)
    ]
    try:
        while True:
            statuses = [process.poll() for process in running]
            failed = [index for index, status in enumerate(statuses) if status]
            if failed:
                status = statuses[failed[0]]
                how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
                logger.error("Process %d of %d %s; the others are stopped.", failed[0], processes, how)
                return 128 - status if status < 0 else status
            if all(status == 0 for status in statuses):
                return 0
            time.sleep(0.1)
    except KeyboardInterrupt:
        _wait(running, grace)  # Ctrl-C reached them, too
        raise
    finally:
        _stop(running, grace)


def process_environment(addresses: Sequence[str], index: int) -> dict[str, str]:
    """The variables that tell process `index` of the others, which are at `addresses`, on any backend."""
    host, _, port = addresses[0].rpartition(":")
    return {
        "TF_CONFIG": json.dumps(
            {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}}
        ),
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(addresses),
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(len(addresses)),
        "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
        "MASTER_ADDR": host,
        "MASTER_PORT": port,
        "RANK": str(index),
        "LOCAL_RANK": str(index),
        "WORLD_SIZE": str(len(addresses)),
    }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _stop(processes: Sequence[subprocess.Popen], grace: float) -> None:
    """Asks all that still run to end, and kills those that do not within the grace."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    _wait(processes, grace)
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait(processes: Sequence[subprocess.Popen], seconds: float) -> None:
    """Until all have ended, or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(process.poll() is None for process in processes):
        time.sleep(0.05)
