"""Core: which traces are kept, as OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say it (OpenTelemetry specification,
"SDK Environment Variables"), in a form that costs a push a comparison and not a call of an SDK sampler.

A share of traces is decided by the low 64 bits of the trace id, as the SDK's TraceIdRatioBased does, so that services
with the same share keep the same traces.
"""

from collections.abc import Mapping
from typing import NamedTuple

ID_LIMIT = 1 << 64  # the ids that the share is of


class Sampling(NamedTuple):
    """`ratio`: the share of the traces, 0 to 1. `parent_based`: of what begins here; else a parent's flag counts."""

    ratio: float
    parent_based: bool = True

    @property
    def bound(self) -> int:
        """Trace ids whose low 64 bits are below it are sampled."""
        return round(self.ratio * ID_LIMIT)


FIXED = {
    "always_on": Sampling(1.0, parent_based=False),
    "always_off": Sampling(0.0, parent_based=False),
    "parentbased_always_on": Sampling(1.0),
    "parentbased_always_off": Sampling(0.0),
}
BY_RATIO = {"traceidratio": False, "parentbased_traceidratio": True}  # whether parents decide


def from_environment(environment: Mapping[str, str], ratio: float) -> tuple[Sampling, str]:
    """The sampling, and a warning or "". `ratio`: what counts where OTEL_TRACES_SAMPLER is not set, or not known."""
    name = environment.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if not name:
        return Sampling(ratio), ""
    if name in FIXED:
        return FIXED[name], ""
    if name not in BY_RATIO:
        known = ", ".join([*FIXED, *BY_RATIO])
        return Sampling(ratio), f"OTEL_TRACES_SAMPLER={name} is ignored; there are: {known}"
    text = environment.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    share, warning = _share(text) if text else (1.0, "")
    return Sampling(share, BY_RATIO[name]), warning


def _share(text: str) -> tuple[float, str]:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if 0 <= share <= 1:
        return share, ""
    return 1.0, f"OTEL_TRACES_SAMPLER_ARG={text} is ignored: it is no number from 0 to 1"
