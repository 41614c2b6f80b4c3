"""From the Structs to structural OpenAPI v3 schemas, the form a CustomResourceDefinition takes.

Kubernetes refuses ``$ref``, ``title``, ``default`` beside nothing useful, tuples and unbounded CEL: references are
inlined, ``T | None`` becomes an optional ``T``, every string and list gets a bound so that the API server's CEL cost
estimate stays finite. Values of free form (Argo's steps) keep ``x-kubernetes-preserve-unknown-fields``.
"""

from __future__ import annotations

from typing import Any

import msgspec

Schema = dict[str, Any]

MAX_STRING = 4096
MAX_ITEMS = 256
MAX_PROPERTIES = 256
_DROPPED = frozenset({"title", "default", "discriminator", "uniqueItems", "$defs", "description"})


def structural_schema(kind: type[msgspec.Struct]) -> Schema:
    """The schema of one kind, with ``spec`` and ``status`` from its Struct and Kubernetes' own head fields."""
    raw = msgspec.json.schema(kind)
    definitions = raw["$defs"]
    root = _convert(definitions[raw["$ref"].rpartition("/")[2]], definitions)
    root["properties"]["kind"] = {"type": "string"}
    root["properties"]["apiVersion"] = {"type": "string"}
    root["properties"]["metadata"] = {"type": "object"}
    required = [name for name in root.get("required", ()) if name != "kind"]
    root.pop("required", None)
    if required:
        root["required"] = required
    return root


def _convert(node: Schema, definitions: Schema) -> Schema:
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _convert(target, definitions) | _extensions(node)
    if "anyOf" in node:
        return _convert_optional(node, definitions)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in result:
        result["enum"] = [result.pop("const")]
    match result.get("type"):
        case "object":
            return _convert_object(result, definitions)
        case "array":
            result.setdefault("maxItems", MAX_ITEMS)
            result["items"] = _convert(result["items"], definitions)
        case "string":
            result.setdefault("maxLength", MAX_STRING)
        case "integer":
            result["format"] = "int64"
        case None if "enum" in result:
            result["type"] = "string"
    return result


def _convert_object(node: Schema, definitions: Schema) -> Schema:
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return {"type": "object"} | _extensions(node)
    if "properties" in node:
        node["properties"] = {name: _convert(value, definitions) for name, value in node["properties"].items()}
        node.pop("additionalProperties", None)
        if not node.get("required"):
            node.pop("required", None)
        return node
    node.setdefault("maxProperties", MAX_PROPERTIES)
    node["additionalProperties"] = _convert(node["additionalProperties"], definitions)
    return node


def _convert_optional(node: Schema, definitions: Schema) -> Schema:
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if len(options) != 1:
        raise TypeError(f"a CRD cannot express the union {node['anyOf']}: declare one type, optionally | None")
    return _convert(options[0], definitions) | _extensions(node)


def _extensions(node: Schema) -> Schema:
    return {key: value for key, value in node.items() if key.startswith("x-kubernetes-") or key == "format"}
