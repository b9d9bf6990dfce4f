"""The processes of one run on JAX: how they find each other and exchange data."""

import contextlib
import dataclasses
import faulthandler
import re
import socket
import time

import keras
import numpy as np

from aa_keras.errors import UserError

# Seconds after which a silent process ends the others, and seconds that they wait for each other at the start.
HEARTBEAT_TIMEOUT = 60
START_TIMEOUT = 300


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The data with which a process finds the others, in the terms of `jax.distributed.initialize`.

    Attributes:
        coordinator_address: address and port of the first process, such as "10.0.0.1:1234".
        num_processes: number of processes.
        process_id: number of this process, from 0.
        local_device_ids: numbers of this process's devices on its host; None for all devices.
    """

    coordinator_address: str
    num_processes: int
    process_id: int
    local_device_ids: list[int] | None = None

    @classmethod
    def from_flags(cls, coordinator_address, num_processes, process_id):
        """Returns `Hosts`, or None if no flag is given; raises UserError if only some are given, or for a bad one."""
        given = (coordinator_address, num_processes, process_id)
        if all(value is None for value in given):
            return None
        if None in given or not re.fullmatch(r".+:\d+", coordinator_address) or process_id >= num_processes:
            raise UserError(
                "--coordinator_address=HOST:PORT, --num_processes and --process_id, which is below it, must be given "
                f"together. Received: --coordinator_address={coordinator_address} --num_processes={num_processes} "
                f"--process_id={process_id}"
            )
        return cls(*given)


def join(hosts):
    """Finds the other processes, so that from then on JAX has the devices of all of them.

    Args:
        hosts: `Hosts`.

    Raises:
        UserError: if they do not find each other.
    """
    import jax

    # If a process hangs, XLA says so and aborts the others; the stacks of threads would bury the message.
    faulthandler.disable()
    _find_first(hosts)
    try:
        # As in `keras.distribution.initialize`, which does not set the heartbeats.
        jax.distributed.initialize(
            hosts.coordinator_address,
            hosts.num_processes,
            hosts.process_id,
            hosts.local_device_ids,
            initialization_timeout=START_TIMEOUT,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            shutdown_timeout_seconds=HEARTBEAT_TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the {hosts.num_processes} processes did not find each other at --coordinator_address="
            f"{hosts.coordinator_address} within {START_TIMEOUT} seconds: {error}"
        ) from None


def _find_first(hosts):
    """Raises UserError if the first process cannot be reached, or cannot listen: JAX would abort or crash."""
    host, port = hosts.coordinator_address.rsplit(":", 1)
    if hosts.process_id == 0:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("", int(port)))
            except (OSError, OverflowError) as error:
                raise UserError(
                    f"--coordinator_address must have a free port of process 0: {error}. "
                    f"Received: --coordinator_address={hosts.coordinator_address}"
                ) from None
        print(
            f"Waiting up to {START_TIMEOUT} seconds for {hosts.num_processes} processes, including this one, at "
            f"{hosts.coordinator_address}",
            flush=True,
        )
        return
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except (OSError, OverflowError) as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"there is no process 0 at --coordinator_address={hosts.coordinator_address}, or none that "
                    f"process {hosts.process_id} can reach: {error}, for {START_TIMEOUT} seconds"
                ) from None
        time.sleep(0.5)


@contextlib.contextmanager
def alone():
    """Returns a context in which one process may make a variable, as Keras does even in saving.

    Without it, the process would wait for the others to make the variable too.
    """
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def bytes_of_first(content):
    """Returns the bytes of the first process in every process; all of them must call it."""
    from jax.experimental import multihost_utils

    length = int(multihost_utils.broadcast_one_to_all(np.array(len(content), np.int32)))
    padded = np.zeros(length, np.uint8)  # broadcasting needs arrays of one size
    padded[: len(content)] = np.frombuffer(content, np.uint8)[:length]
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).astype(np.uint8).tobytes()


def text_of_first(text):
    """Returns the text of the first process, likewise."""
    return bytes_of_first(text.encode()).decode()


def texts_of_all(text, length=500):
    """Returns the texts of all processes, cut to a length, in every process; all of them must call it."""
    from jax.experimental import multihost_utils

    padded = np.frombuffer(text.encode()[:length].ljust(length, b"\0"), np.uint8)
    gathered = np.asarray(multihost_utils.process_allgather(padded)).astype(np.uint8).reshape(-1, length)
    return [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in gathered]
