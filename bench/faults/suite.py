"""All experiments."""

from bench.faults.experiments.gateways import GATEWAY_EXPERIMENTS

EXPERIMENTS = (*GATEWAY_EXPERIMENTS,)
