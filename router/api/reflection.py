"""gRPC's server reflection (grpc.reflection.v1alpha), so that grpcurl and its like need no .proto file."""

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection_pb2

SERVICE: str = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name
NOT_FOUND = 5  # gRPC's status
UNIMPLEMENTED = 12


class Reflection:
    """Answers questions about the descriptors of some services."""

    def __init__(self, *services: str) -> None:
        self._services = sorted(services)
        self._pool = descriptor_pool.Default()

    def answer(self, request: reflection_pb2.ServerReflectionRequest) -> reflection_pb2.ServerReflectionResponse:
        """One answer to one question; what is not here is an error in the answer, not of the stream."""
        response = reflection_pb2.ServerReflectionResponse(valid_host=request.host, original_request=request)
        try:
            match request.WhichOneof("message_request"):
                case "list_services":
                    for name in self._services:
                        response.list_services_response.service.add(name=name)
                case "file_by_filename":
                    self._files(response, self._pool.FindFileByName(request.file_by_filename))
                case "file_containing_symbol":
                    self._files(response, self._pool.FindFileContainingSymbol(request.file_containing_symbol))
                case _:  # extensions: proto3 has none
                    self._error(response, UNIMPLEMENTED, "not answered here")
        except KeyError as missing:
            self._error(response, NOT_FOUND, str(missing))
        return response

    def _files(self, response: reflection_pb2.ServerReflectionResponse, file: FileDescriptor) -> None:
        """The file, and every file that it needs, each once."""
        waiting, seen = [file], set()
        while waiting:
            one = waiting.pop()
            if one.name not in seen:
                seen.add(one.name)
                response.file_descriptor_response.file_descriptor_proto.append(one.serialized_pb)
                waiting.extend(one.dependencies)

    def _error(self, response: reflection_pb2.ServerReflectionResponse, code: int, why: str) -> None:
        response.error_response.error_code, response.error_response.error_message = code, why
