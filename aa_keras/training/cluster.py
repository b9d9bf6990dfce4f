"""The processes of a cluster, which JAX detects from its scheduler."""

import os
import re
import warnings

from aa_keras.errors import UserError
from aa_keras.training.hosts import START_TIMEOUT, Hosts

# A variable that each scheduler sets, and those that JAX needs with it.
_VARIABLES = {
    "SLURM_JOB_ID": ("SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"),
    "OMPI_MCA_orte_hnp_uri": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"),
}
_REMEDIES = {
    "SLURM_JOB_ID": "start the processes of a Slurm job with srun",
    "OMPI_MCA_orte_hnp_uri": "start the processes with mpirun",
}


def detected_hosts() -> Hosts:
    """Returns the `Hosts` of the cluster that this process runs in: Slurm, Open MPI, Kubernetes or a TPU pod.

    JAX finds them in the environment or in the API of Kubernetes. The environment variables JAX_COORDINATOR_ADDRESS and
    JAX_COORDINATOR_PORT have the meaning that they have for JAX.

    Raises:
        UserError: if there is no cluster that JAX knows, or its description is incomplete.
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    num_processes = process_id = devices = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # The public `jax.distributed.initialize` detects the same, but starts at once: a wrong address would abort.
            from jax._src.clusters import ClusterEnv

            address, num_processes, process_id, devices = ClusterEnv.auto_detect_unset_distributed_params(
                address, None, None, None, None, START_TIMEOUT
            )
        except Exception as error:  # whatever a scheduler and its client library raise
            reasons = [f"{type(error).__name__}: {error}"]
        else:
            reasons = [str(warning.message) for warning in caught]
    if address is None or num_processes is None or process_id is None:
        raise UserError(f"{_what_is_missing(reasons)}. Received: {_environment()}")
    if not re.fullmatch(r".+:\d+", address):
        raise UserError(f"the address of process 0 must be HOST:PORT, and is {address}. Received: {_environment()}")
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"the number of this process must be below that of all processes, {num_processes}, and is {process_id}. "
            f"Received: {_environment()}"
        )
    return Hosts(address, num_processes, process_id, None if devices is None else list(devices))


def _what_is_missing(reasons):
    """Returns in one line why nothing was detected."""
    for variable, others in _VARIABLES.items():
        missing = [name for name in others if name not in os.environ]
        if variable in os.environ and missing:
            return f"{variable} is set, but not {', '.join(missing)}: {_REMEDIES[variable]}"
    reason = " ".join(" ".join(reasons).split()) or "it knows Slurm, Open MPI, Kubernetes and TPU pods"
    return (
        f"JAX does not detect a cluster here ({reason:.300}): --config.distribution=multihost then needs "
        "--coordinator_address, --num_processes and --process_id"
    )


def _environment():
    """Returns the variables of schedulers that JAX reads, with their values."""
    names = [name for variable, others in _VARIABLES.items() for name in (variable, *others)]
    names += ["JAX_COORDINATOR_ADDRESS", "JAX_COORDINATOR_PORT", "KUBERNETES_SERVICE_HOST"]
    return ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ) or "none of their variables"
