"""Core: where spans go: `[trace] otlp`, overridden by OpenTelemetry's environment variables.

Of the variables this module reads only those that choose an exporter. The exporter itself reads its own: endpoint,
headers, time-out, certificates, compression (OpenTelemetry specification, "OpenTelemetry Protocol Exporter").
"""

from collections.abc import Mapping
from typing import NamedTuple

OTLP_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
TIMEOUTS = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
TRACES_PATH = "/v1/traces"  # of OTLP over HTTP
TIMEOUT = 2.0  # seconds for one request, repetitions included; the exporters' own default is 10


class DestinationError(Exception):
    """The environment names an exporter or a protocol that there is not."""


class Destination(NamedTuple):
    """One exporter. `arguments`: what its environment variables leave open. `text`: for the log."""

    exporter: str  # its name in the entry points `opentelemetry_traces_exporter`
    arguments: Mapping[str, str | float]
    text: str


def destinations(otlp: str, environment: Mapping[str, str]) -> list[Destination]:
    """The exporters to start; none: nothing is traced. `otlp`: `[trace] otlp`.

    DestinationError: an OTLP protocol that there is not.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if not named:
        named = "otlp" if otlp or _first(environment, ENDPOINTS) else "none"
    names = [name.strip() for name in named.split(",")]
    return [_destination(name, otlp, environment) for name in names if name and name.lower() != "none"]


def _destination(name: str, otlp: str, environment: Mapping[str, str]) -> Destination:
    if name == "otlp":
        protocol = _first(environment, PROTOCOLS) or "grpc"
        if protocol not in OTLP_PROTOCOLS:
            raise DestinationError(f"OTLP over {protocol} is not known; there are: {', '.join(OTLP_PROTOCOLS)}")
        name = OTLP_PROTOCOLS[protocol]
    if name not in OTLP_PROTOCOLS.values():
        return Destination(name, {}, f"exporter {name!r}")
    arguments: dict[str, str | float] = {} if _first(environment, TIMEOUTS) else {"timeout": TIMEOUT}
    endpoint = _first(environment, ENDPOINTS)
    if otlp and not endpoint:
        endpoint = otlp.rstrip("/")
        arguments["endpoint"] = endpoint + TRACES_PATH if name == OTLP_PROTOCOLS["http/protobuf"] else endpoint
    return Destination(name, arguments, f"trace collector at {endpoint or 'localhost'}")


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := environment.get(name, "").strip())), "")
