"""Where spans go: `[trace] otlp`, and the variables that override it."""

import pytest

from observability.destination import TIMEOUT, Destination, DestinationError, destinations

OTLP = "http://127.0.0.1:4317"
ELSEWHERE = "https://collector.example:443"
GRPC, HTTP = "otlp_proto_grpc", "otlp_proto_http"


def one(otlp: str, **environment: str) -> Destination:
    (found,) = destinations(otlp, environment)
    return found


@pytest.mark.parametrize(
    ("otlp", "environment"),
    [
        ("", {}),
        ("", {"OTEL_TRACES_EXPORTER": "none"}),
        (OTLP, {"OTEL_TRACES_EXPORTER": "none"}),
        (OTLP, {"OTEL_TRACES_EXPORTER": "None"}),
        (OTLP, {"OTEL_SDK_DISABLED": "TRUE"}),
        ("", {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}),
        ("", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}),
    ],
)
def test_no_exporter(otlp, environment):
    assert destinations(otlp, environment) == []


def test_the_configuration_is_the_default():
    arguments = {"endpoint": OTLP, "timeout": TIMEOUT}
    assert one(OTLP) == Destination(GRPC, arguments, f"trace collector at {OTLP}")
    assert one(OTLP, OTEL_SDK_DISABLED="false", OTEL_TRACES_EXPORTER=" ").exporter == GRPC


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
@pytest.mark.parametrize("otlp", ["", OTLP])
def test_an_endpoint_of_the_environment_is_left_to_the_exporter(name, otlp):
    assert one(otlp, **{name: ELSEWHERE}) == Destination(GRPC, {"timeout": TIMEOUT}, f"trace collector at {ELSEWHERE}")


def test_a_timeout_of_the_environment_is_left_to_the_exporter():
    assert one(OTLP, OTEL_EXPORTER_OTLP_TIMEOUT="7").arguments == {"endpoint": OTLP}


def test_otlp_over_http_has_a_path():
    found = one(f"{OTLP}/", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    assert (found.exporter, found.arguments["endpoint"]) == (HTTP, f"{OTLP}/v1/traces")


def test_the_protocol_of_traces_is_before_the_common_one():
    found = one(OTLP, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc")
    assert found.exporter == GRPC


def test_a_protocol_that_there_is_not():
    with pytest.raises(DestinationError, match=r"OTLP over http/json is not known; there are: grpc, http/protobuf"):
        destinations(OTLP, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


def test_several_exporters_and_an_otlp_without_any_endpoint():
    found = destinations("", {"OTEL_TRACES_EXPORTER": "console, otlp"})
    assert [(each.exporter, each.text) for each in found] == [
        ("console", "exporter 'console'"),
        (GRPC, "trace collector at localhost"),
    ]
