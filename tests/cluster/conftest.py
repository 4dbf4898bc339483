"""A Ray cluster of two machines, which are processes on this one."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def cluster():
    """A cluster of two machines with a CPU each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'medcode[ray]'")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()
