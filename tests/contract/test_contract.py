"""The contract is one: protos/crpbot.proto, the dataclasses of core/analysis.py, and the OpenAPI document agree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from api.http import PATIENCE
from api.metrics import Metrics
from api.operation import Operation
from api.readiness import Readiness
from api.rest import create_app
from protos import crpbot_pb2
from tests.operations import OPERATIONS, SHAPES

ROOT = Path(__file__).parents[2]
PROTO = "protos/crpbot.proto"
MESSAGES = dict(crpbot_pb2.DESCRIPTOR.message_types_by_name)


class Shape(NamedTuple):
    """One field as any of the three writes it."""

    kind: str
    presence: str  # plain, optional, repeated, map


# --- the message ------------------------------------------------------------------------------------------------------

MESSAGE_KINDS = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BOOL: "truth",
    FieldDescriptor.TYPE_INT32: "whole",
    FieldDescriptor.TYPE_INT64: "whole",
    FieldDescriptor.TYPE_DOUBLE: "number",
}
LIBRARY_KINDS = {"google.protobuf.Timestamp": "instant", "google.protobuf.ListValue": "numbers"}


def message_shape(field: FieldDescriptor) -> Shape:
    """How the proto file declares a field."""
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        return Shape(message_shape(nested.fields_by_name["value"]).kind, "map")
    if field.enum_type is not None:
        kind = field.enum_type.name
    else:
        kind = MESSAGE_KINDS[field.type] if nested is None else LIBRARY_KINDS.get(nested.full_name, nested.name)
    if field.is_repeated:
        return Shape(kind, "repeated")
    return Shape(kind, "optional" if field.containing_oneof is not None else "plain")  # a oneof of its own


def message_shapes(message: Descriptor) -> dict[str, Shape]:
    return {field.name: message_shape(field) for field in message.fields}


# --- the dataclass ----------------------------------------------------------------------------------------------------

DATACLASS_KINDS = {str: "text", Decimal: "text", bool: "truth", int: "whole", float: "number", datetime: "instant"}


def dataclass_shape(hint: Any) -> Shape:
    """How the dataclass declares a field."""
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        assert arguments[1] is type(None)
        return Shape(dataclass_shape(arguments[0]).kind, "optional")
    if get_origin(hint) is tuple:
        inner = dataclass_shape(arguments[0])
        return Shape("numbers" if inner.presence == "repeated" else inner.kind, "repeated")
    if get_origin(hint) is dict:
        return Shape(dataclass_shape(arguments[1]).kind, "map")
    if is_dataclass(hint) or issubclass(hint, Enum):
        return Shape(hint.__name__, "plain")
    return Shape(DATACLASS_KINDS[hint], "plain")


def dataclass_shapes(name: str) -> dict[str, Shape]:
    shape = SHAPES[name]
    hints = get_type_hints(shape)
    return {field.name: dataclass_shape(hints[field.name]) for field in fields(shape)}


# --- the OpenAPI schema -----------------------------------------------------------------------------------------------

OPENAPI_KINDS = {"string": "text", "boolean": "truth", "integer": "whole", "number": "number"}


def openapi_shape(schema: dict[str, Any]) -> Shape:
    """How the OpenAPI document declares a property."""
    if "$ref" in schema:
        return Shape(schema["$ref"].removeprefix("#/components/schemas/"), "plain")
    if "anyOf" in schema:
        given = [inner for inner in schema["anyOf"] if inner != {"type": "null"}]
        kind = "text" if len(given) == 2 else openapi_shape(given[0]).kind  # a decimal comes as a number or as text
        return Shape(kind, "optional" if len(given) < len(schema["anyOf"]) else "plain")
    if schema["type"] == "array":
        inner = openapi_shape(schema["items"])
        return Shape("numbers" if inner.presence == "repeated" else inner.kind, "repeated")
    if schema["type"] == "object":
        return Shape(openapi_shape(schema["additionalProperties"]).kind, "map")
    return Shape("instant" if schema.get("format") == "date-time" else OPENAPI_KINDS[schema["type"]], "plain")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = create_app(
        OPERATIONS, readiness=Readiness({}), metrics=Metrics(), default_timeout_seconds=5.0, patience=PATIENCE
    )
    return app.openapi()


def test_every_message_and_enum_of_the_contract_is_used_by_an_operation() -> None:
    assert set(SHAPES) == set(MESSAGES) | set(crpbot_pb2.DESCRIPTOR.enum_types_by_name)


def test_every_method_of_the_contract_is_an_operation_and_nothing_else() -> None:
    declared = {
        (service.name, method.name, method.input_type.name, method.output_type.name, method.server_streaming)
        for service in crpbot_pb2.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert declared == {
        (each.service, each.rpc, each.request.__name__, each.answer.__name__, each.streams) for each in OPERATIONS
    }


@pytest.mark.parametrize("name", crpbot_pb2.DESCRIPTOR.enum_types_by_name)
def test_an_enum_counts_its_values_from_one_in_the_order_of_the_code(name: str) -> None:
    numbers = {value.name: value.number for value in crpbot_pb2.DESCRIPTOR.enum_types_by_name[name].values}
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()
    members = {f"{prefix}_{member.name}": place for place, member in enumerate(SHAPES[name], start=1)}
    assert numbers == {f"{prefix}_UNSPECIFIED": 0, **members}


IN_THE_ADDRESS = {each.request.__name__ for each in OPERATIONS if each.verb == "GET"}  # a GET has no body


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.verb == "GET"], ids=lambda each: each.rpc)
def test_a_get_takes_the_fields_of_its_message_as_parameters(operation: Operation, document: dict[str, Any]) -> None:
    parameters = document["paths"][operation.path]["get"]["parameters"]
    named = {each["name"] for each in parameters if each["in"] != "header"}
    assert named == set(message_shapes(MESSAGES[operation.request.__name__]))


@pytest.mark.parametrize("name", MESSAGES)
def test_message_dataclass_and_openapi_schema_agree(name: str, document: dict[str, Any]) -> None:
    expected = message_shapes(MESSAGES[name])
    assert dataclass_shapes(name) == expected
    if name in IN_THE_ADDRESS:
        return
    schema = document["components"]["schemas"][name]
    assert {field: openapi_shape(inner) for field, inner in schema["properties"].items()} == expected
    assert schema["additionalProperties"] is False
    plain = {field for field, shape in expected.items() if shape.presence == "plain"}
    assert plain <= set(schema.get("required", []))


def test_the_openapi_document_says_how_every_operation_ends(document: dict[str, Any]) -> None:
    analyze = document["paths"]["/v1/analyze"]["post"]
    assert analyze["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/AnalyzeRequest")
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    for operation in operations:
        problem = operation["responses"]["default"]["content"]["application/problem+json"]
        assert problem["schema"]["$ref"] == "#/components/schemas/Problem"
        assert operation["summary"]
    assert len({operation["operationId"] for operation in operations}) == len(operations) == len(OPERATIONS) + 3


# --- the proto file ---------------------------------------------------------------------------------------------------


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A tool of this installation; it must succeed."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code that the proto file gives today, and its descriptors with their comments."""
    folder = tmp_path_factory.mktemp("generated")
    outputs = [f"--{kind}={folder}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    description = ["--include_source_info", f"--descriptor_set_out={folder}/set"]
    run(sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, *description, PROTO)
    return folder


def test_the_linter_finds_nothing() -> None:
    run(str(Path(sys.executable).with_name("buf")), "lint")


@pytest.mark.parametrize("name", ["crpbot_pb2.py", "crpbot_pb2.pyi", "crpbot_pb2_grpc.py"])
def test_the_committed_code_is_what_the_proto_file_gives(generated: Path, name: str) -> None:
    assert (ROOT / "protos" / name).read_bytes() == (generated / "protos" / name).read_bytes()


def test_the_generated_code_imports_from_an_empty_folder(tmp_path: Path) -> None:
    script = "from protos import crpbot_pb2, crpbot_pb2_grpc; print(crpbot_pb2.DESCRIPTOR.package)"
    assert run(sys.executable, "-c", script, cwd=tmp_path).stdout == "crpbot.v1\n"


def declarations(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Every message, field, service and method, by its path in the descriptor."""
    for index, message in enumerate(file.message_type):
        yield (4, index), message.name
        for inner, field in enumerate(message.field):
            yield (4, index, 2, inner), f"{message.name}.{field.name}"
    for index, service in enumerate(file.service):
        yield (6, index), service.name
        for inner, method in enumerate(service.method):
            yield (6, index, 2, inner), f"{service.name}.{method.name}"


def test_everything_in_the_proto_file_is_explained(generated: Path) -> None:
    described = descriptor_pb2.FileDescriptorSet.FromString((generated / "set").read_bytes()).file[-1]
    comments = {tuple(place.path): place.leading_comments.strip() for place in described.source_code_info.location}
    names = dict(declarations(described))
    assert {"AnalyzeRequest.window", "AnalysisService.Analyze"} <= set(names.values())
    assert [name for path, name in names.items() if not comments.get(path)] == []
