"""Shell: gRPC's server reflection (grpc.reflection.v1alpha), so that tools such as grpcurl need no .proto file."""

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection_pb2

SERVICE: str = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name
NOT_FOUND = 5  # gRPC's status
UNIMPLEMENTED = 12


class Reflection:
    """Serves the descriptors of some services, by full name."""

    def __init__(self, *services: str) -> None:
        self._services = sorted(services)
        self._pool = descriptor_pool.Default()

    def answer(self, request: reflection_pb2.ServerReflectionRequest) -> reflection_pb2.ServerReflectionResponse:
        """The response to one request. An unknown name is an error in the response, not of the stream."""
        response = reflection_pb2.ServerReflectionResponse(valid_host=request.host, original_request=request)
        try:
            match request.WhichOneof("message_request"):
                case "list_services":
                    for name in self._services:
                        response.list_services_response.service.add(name=name)
                case "file_by_filename":
                    self._add_files(response, self._pool.FindFileByName(request.file_by_filename))
                case "file_containing_symbol":
                    self._add_files(response, self._file_of(request.file_containing_symbol))
                case _:  # extensions, which proto3 does not have
                    self._set_error(response, UNIMPLEMENTED, "not served here")
        except KeyError as missing:
            self._set_error(response, NOT_FOUND, str(missing))
        return response

    def _file_of(self, symbol: str) -> FileDescriptor:
        """The file of a service, a message, or one of a service's methods. KeyError for any other name."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file

    def _add_files(self, response: reflection_pb2.ServerReflectionResponse, file: FileDescriptor) -> None:
        """Add the file and all its dependencies, each once."""
        pending, added = [file], set()
        while pending:
            descriptor = pending.pop()
            if descriptor.name not in added:
                added.add(descriptor.name)
                response.file_descriptor_response.file_descriptor_proto.append(descriptor.serialized_pb)
                pending.extend(descriptor.dependencies)

    def _set_error(self, response: reflection_pb2.ServerReflectionResponse, code: int, why: str) -> None:
        response.error_response.error_code, response.error_response.error_message = code, why
