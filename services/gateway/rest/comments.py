"""The protos' comments, by the full name of what they are about."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2

Comments = Mapping[str, str]
# FileDescriptorProto's and its children's field numbers, which a comment's path is made of.
_FILE = {4: "message_type", 5: "enum_type", 6: "service"}
_CHILDREN = {
    "message_type": {2: "field", 3: "nested_type", 4: "enum_type"},
    "enum_type": {2: "value"},
    "service": {2: "method"},
}
_KIND = {"nested_type": "message_type"}


def load_comments() -> Comments:
    """Return the comments of every message, field, enum, value, service and method of ours."""
    raw = resources.files("lastmile").joinpath("descriptors.binpb").read_bytes()
    found: dict[str, str] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(raw).file:
        for location in file.source_code_info.location:
            text = location.leading_comments.strip()
            name = _name_at(file, list(location.path)) if text else None
            if name is not None:
                found[name] = "\n".join(line.strip() for line in text.splitlines())
    return found


def _name_at(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> str | None:
    node: Any = file
    names, children = [file.package], _FILE
    while path:
        number, *path = path
        attribute = children.get(number)
        if attribute is None or not path:
            return None
        index, *path = path
        node = getattr(node, attribute)[index]
        names.append(node.name)
        children = _CHILDREN.get(_KIND.get(attribute, attribute), {})
    return ".".join(names)
