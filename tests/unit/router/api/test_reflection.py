"""gRPC's server reflection: what a tool such as grpcurl asks, and what it is told about names that are not here."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse

from homing.v1 import router_pb2
from router.api.grpc_api import SERVICE, ReflectionHandler
from router.api.reflection import NOT_FOUND, UNIMPLEMENTED, Reflection
from runtime.grpc_wire.status import INVALID_ARGUMENT, OK, StreamEnded

REFLECTION = Reflection(SERVICE, "another.Service")
FILE = router_pb2.DESCRIPTOR.name


def ask(**question: object) -> ServerReflectionResponse:
    return REFLECTION.answer(ServerReflectionRequest(host="h", **question))  # type: ignore[arg-type]


def files(response: ServerReflectionResponse) -> list[str]:
    found = response.file_descriptor_response.file_descriptor_proto
    return [FileDescriptorProto.FromString(serialized).name for serialized in found]


def test_services_are_listed_by_full_name() -> None:
    response = ask(list_services="*")
    assert [service.name for service in response.list_services_response.service] == ["another.Service", SERVICE]
    assert (response.valid_host, response.original_request.list_services) == ("h", "*")


@pytest.mark.parametrize(
    "question",
    [{"file_by_filename": FILE}, {"file_containing_symbol": SERVICE}, {"file_containing_symbol": SERVICE + ".Push"}],
)
def test_a_file_comes_with_all_that_it_imports_each_once(question: dict[str, str]) -> None:
    found = files(ask(**question))
    assert found[0] == FILE
    assert "google/protobuf/duration.proto" in found
    assert len(found) == len(set(found))


def test_a_file_that_two_others_import_comes_once() -> None:
    class File:
        def __init__(self, name: str, *dependencies: "File") -> None:
            self.name, self.serialized_pb, self.dependencies = name, name.encode(), dependencies

    shared = File("shared")
    response = ServerReflectionResponse()
    REFLECTION._add_files(response, File("top", File("left", shared), File("right", shared)))  # type: ignore[arg-type]
    assert sorted(response.file_descriptor_response.file_descriptor_proto) == [b"left", b"right", b"shared", b"top"]


@pytest.mark.parametrize("question", [{"file_by_filename": "no.proto"}, {"file_containing_symbol": "no.Service"}])
def test_an_unknown_name_is_an_error_in_the_response(question: dict[str, str]) -> None:
    response = ask(**question)
    assert response.error_response.error_code == NOT_FOUND
    assert "no." in response.error_response.error_message


def test_extensions_are_not_served() -> None:
    assert ask(file_containing_extension=ExtensionRequest()).error_response.error_code == UNIMPLEMENTED


class RecordingCall:
    """Keeps what is sent; is writable until a test says otherwise."""

    def __init__(self) -> None:
        self.sent: list[ServerReflectionResponse] = []
        self.writable = True
        self.reading = True
        self.ended: int | None = None

    def send(self, message: bytes) -> None:
        self.sent.append(ServerReflectionResponse.FromString(message))

    def end(self, status: int = OK) -> None:
        self.ended = status

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def test_a_stream_is_answered_request_by_request_and_read_no_faster_than_its_caller_reads() -> None:
    call = RecordingCall()
    handler = ReflectionHandler(call, REFLECTION)  # type: ignore[arg-type]
    handler.on_message(ServerReflectionRequest(list_services="*").SerializeToString())
    assert call.reading
    call.writable = False
    handler.on_message(ServerReflectionRequest(file_by_filename=FILE).SerializeToString())
    assert ([len(files(response)) > 0 for response in call.sent], call.reading) == ([False, True], False)
    handler.on_writable()
    assert call.reading
    handler.on_half_close()
    assert call.ended == OK
    handler.on_end(StreamEnded(OK, ""))


def test_bytes_that_are_no_request_end_the_stream() -> None:
    with pytest.raises(StreamEnded) as refused:
        ReflectionHandler(RecordingCall(), REFLECTION).on_message(b"\xff\xff")  # type: ignore[arg-type]
    assert refused.value.status == INVALID_ARGUMENT
