"""aiokafka costs a process 20 MiB, so a service without Kafka must not import it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("service", ["gateway", "router"])
def test_a_service_imports_kafka_s_client_only_when_it_is_wanted(service):
    code = f"import sys, {service}.__main__; sys.exit('aiokafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=20).returncode == 0
