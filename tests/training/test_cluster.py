"""The variables of a cluster's scheduler; in test_distribution.py two processes train with them."""

import re

import pytest
from helpers.training import tiny_config

from aa_keras.errors import UserError
from aa_keras.training import Hosts
from aa_keras.training.cluster import detected_hosts
from aa_keras.training.distribution import distribution_for

pytest.importorskip("jax")

SLURM = {
    "SLURM_JOB_ID": "4243",
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
}
OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
}


@pytest.fixture
def environment(monkeypatch):
    """Returns a function that sets a scheduler's variables; there are no others."""
    for name in (*SLURM, *OPEN_MPI, "KUBERNETES_SERVICE_HOST", "JAX_COORDINATOR_ADDRESS", "JAX_COORDINATOR_PORT"):
        monkeypatch.delenv(name, raising=False)

    def set_all(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (SLURM, Hosts("localhost:61587", 2, 1, [1])),
        ({**SLURM, "SLURM_STEP_NODELIST": "gpu[07-09],login"}, Hosts("gpu07:61587", 2, 1, [1])),
        ({**SLURM, "JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234"}, Hosts("10.0.0.1:1234", 2, 1, [1])),
        (OPEN_MPI, Hosts("10.96.0.1:62624", 4, 3, [0])),
    ],
    ids=["Slurm", "a list of nodes", "an address of one's own", "Open MPI"],
)
def test_what_schedulers_set(variables, expected, environment):
    environment(variables)
    assert detected_hosts() == expected


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "JAX does not detect a cluster here .*--coordinator_address, .*Received: none of their variables"),
        (
            {"SLURM_JOB_ID": "4243", "SLURM_NTASKS": "2"},
            "SLURM_JOB_ID is set, but not SLURM_STEP_NODELIST, SLURM_PROCID, SLURM_LOCALID: .*with srun. "
            "Received: SLURM_JOB_ID=4243, SLURM_NTASKS=2",
        ),
        ({**SLURM, "SLURM_NTASKS": "two"}, "invalid literal for int.*'two'.*Received: .*SLURM_NTASKS=two"),
        (
            {**SLURM, "SLURM_PROCID": "2"},
            "must be below that of all processes, 2, and is 2. Received: .*SLURM_PROCID=2",
        ),
        ({**SLURM, "JAX_COORDINATOR_ADDRESS": "host"}, "must be HOST:PORT, and is host. Received: "),
        ({"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1"}, "is set, but not OMPI_COMM_WORLD_SIZE, .*with mpirun"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, r"Received: KUBERNETES_SERVICE_HOST=10\.0\.0\.1"),
    ],
)
def test_an_environment_that_is_wrong_or_half_set_is_reported_in_a_line(variables, message, environment):
    environment(variables)
    with pytest.raises(UserError) as raised:
        distribution_for(tiny_config(distribution="multihost"))
    assert re.search(message, str(raised.value))
    assert "\n" not in str(raised.value)
