"""All experiments."""

from bench.faults.experiments.certificates import ROTATION
from bench.faults.experiments.file_limit import FILE_LIMIT
from bench.faults.experiments.gateways import GATEWAY_EXPERIMENTS
from bench.faults.experiments.partitions import PARTITION_EXPERIMENTS
from bench.faults.experiments.readers import STOPPED_READERS
from bench.faults.experiments.redis_away import REDIS_EXPERIMENTS
from bench.faults.experiments.registry import COMPACTION, REGISTRY_EXPERIMENTS
from bench.faults.experiments.routers import ROUTER_EXPERIMENTS
from bench.faults.experiments.stale_routes import STALE_ROUTES

EXPERIMENTS = (
    *GATEWAY_EXPERIMENTS,
    FILE_LIMIT,
    ROTATION,
    STOPPED_READERS,
    *REGISTRY_EXPERIMENTS,
    *ROUTER_EXPERIMENTS,
    *REDIS_EXPERIMENTS,
    COMPACTION,
    STALE_ROUTES,
    *PARTITION_EXPERIMENTS,
)
