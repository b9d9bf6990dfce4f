"""Starts training in several processes, each of which runs `distributed_run.py`."""

import os
import pathlib
import socket
import subprocess
import sys

# Seconds after which something hangs: a busy machine takes minutes to compile a network in two processes.
PATIENCE = 900


def start(backend, workdir, distribution, *fields, hosts=None, variables=None):
    # XLA's optimizations are not what is tested.
    jax = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment = {**os.environ, "KERAS_BACKEND": backend, **jax, **(variables or {})}
    if hosts:
        environment["HOSTS"] = hosts
    command = [sys.executable, pathlib.Path(__file__).with_name("distributed_run.py"), workdir, distribution, *fields]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_two(workdir, *fields, of_second=(), variables=None):
    """Starts two processes that find each other on loopback; `of_second` are more fields of the second one's."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    # The second one's folder is its own, and stays empty.
    folders = (workdir, workdir.with_name(f"{workdir.name}_of_second"))
    return [
        start("jax", folder, "multihost", *fields, *more, hosts=f"localhost:{port} 2 {index}", variables=variables)
        for index, (folder, more) in enumerate(zip(folders, ((), of_second), strict=True))
    ]


def start_two_by_slurm(workdir):
    """Starts two processes as `srun` does: their environment has what they must know of each other."""
    first_port = 2**16 - 2**12  # JAX adds the number of the job
    job = next(job for job in range(1, 2**12) if is_free(first_port + job))
    variables = {"SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    folders = (workdir, workdir.with_name(f"{workdir.name}_of_second"))
    return [
        start("jax", folder, "multihost", variables={**variables, "SLURM_PROCID": index, "SLURM_LOCALID": index})
        for folder, index in zip(folders, "01", strict=True)
    ]


def is_free(port):
    with socket.socket() as listener:
        return listener.connect_ex(("localhost", port)) != 0


def end(*processes, timeout=PATIENCE):
    """Waits for the end of processes, and returns what each one printed."""
    outcomes = [process.communicate(timeout=timeout) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outcomes
    return [output for output, _ in outcomes]
