#!/usr/bin/env python3
"""Writes data/schema.txt: the merge schema and the scopes that the renderer knows.

usage: schema.py OPENAPI.json > data/schema.txt

OPENAPI.json is the OpenAPI v2 document of an API server:

    kubectl get --raw /openapi/v2 > openapi.json

The table in the repository comes from a server of Kubernetes v1.21.2, the version whose schema
kustomize 5.8 has built in: a newer one would merge some lists differently from the reference.

Only what a strategic merge asks for is kept: fields below which some list is merged by key.

    N api/version Kind          a namespaced kind
    C api/version Kind          a cluster-scoped kind
    T api/version Kind number   the definition of a kind
    D number name field=type …  a definition
        type  7        definition 7
              [7       list of definition 7, replaced as a whole
              [7@a,b   list of definition 7, merged by the keys a and b
              [@       list of plain values, merged as a set
"""
import gzip
import json
import sys


# Scopes that the reference knows beside its schema.
ADDED = [
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
]


def load(path):
    raw = open(path, "rb").read()
    return json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)


def api_version(gvk):
    return f"{gvk['group']}/{gvk['version']}" if gvk.get("group") else gvk["version"]


def scopes(document):
    """(apiVersion, kind) -> is namespaced, from the paths as the reference finds it."""
    found = {key: False for key in ADDED}
    for path, item in document.get("paths", {}).items():
        gvk = item.get("get", {}).get("x-kubernetes-group-version-kind")
        if gvk:
            key = (api_version(gvk), gvk["kind"])
            found[key] = found.get(key, False) or "namespaces/{namespace}" in path
    for resource in document.get("resources", []):
        if resource.get("scope"):
            found[(resource["apiVersion"], resource["kind"])] = resource["scope"] == "Namespaced"
    return found


class Table:
    def __init__(self, definitions):
        self.definitions = definitions
        self.useful = {}

    def name(self, schema):
        ref = schema.get("$ref", "")
        return ref.rsplit("/", 1)[-1] if ref else None

    def merges(self, schema):
        return "merge" in schema.get("x-kubernetes-patch-strategy", "").split(",")

    def leads(self, name):
        """Whether a merged list is somewhere below the definition."""
        if name not in self.useful:
            self.useful[name] = False  # a cycle adds nothing
            definition = self.definitions.get(name, {})
            schemas = list(definition.get("properties", {}).values())
            if isinstance(definition.get("additionalProperties"), dict):
                schemas.append(definition["additionalProperties"])
            self.useful[name] = any(self.type(s) is not None for s in schemas)
        return self.useful[name]

    def type(self, schema):
        name = self.name(schema)
        if name:
            return name if self.leads(name) else None
        if schema.get("type") == "array":
            items = schema.get("items", {})
            below = self.name(items)
            below = below if below and self.leads(below) else ""
            if self.merges(schema):
                keys = schema.get("x-kubernetes-list-map-keys")
                keys = keys or ([schema["x-kubernetes-patch-merge-key"]] if "x-kubernetes-patch-merge-key" in schema else [])
                return ("[", below, keys)
            return ("[", below, None) if below else None
        if isinstance(schema.get("additionalProperties"), dict):
            return None  # maps of objects in a field do not occur in a builtin type
        return None


def main():
    document = load(sys.argv[1])
    definitions = document["definitions"]
    table = Table(definitions)
    roots = {}
    for name, definition in definitions.items():
        for gvk in definition.get("x-kubernetes-group-version-kind", []):
            roots[(api_version(gvk), gvk["kind"])] = name
    numbers, queue = {}, []

    def number(name):
        if name not in numbers:
            numbers[name] = len(numbers)
            queue.append(name)
        return str(numbers[name])

    lines = []
    for key, namespaced in sorted(scopes(document).items()):
        lines.append(f"{'N' if namespaced else 'C'} {key[0]} {key[1]}")
    for key, name in sorted(roots.items()):
        if table.leads(name):
            lines.append(f"T {key[0]} {key[1]} {number(name)}")
    while queue:
        name = queue.pop(0)
        fields = []
        for field, schema in sorted(definitions[name].get("properties", {}).items()):
            kind = table.type(schema)
            if kind is None:
                continue
            if isinstance(kind, str):
                fields.append(f"{field}={number(kind)}")
            else:
                below = number(kind[1]) if kind[1] else ""
                keys = "" if kind[2] is None else "@" + ",".join(kind[2])
                fields.append(f"{field}=[{below}{keys}")
        lines.append(f"D {numbers[name]} {name} {' '.join(fields)}")
    print("\n".join(lines))


main()
