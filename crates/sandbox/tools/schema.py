#!/usr/bin/env python3
"""Writes data/schema.txt: the types of the builtin kinds, as an API server knows them.

usage: schema.py OPENAPI_DIRECTORY GO_MODULES > data/schema.txt

OPENAPI_DIRECTORY has the OpenAPI v3 documents of a running API server, one file a group version:

    for path in $(kubectl get --raw /openapi/v3 | jq -r '.paths | keys[] | select(test("^apis?/.*v[0-9]"))'); do
        kubectl get --raw /openapi/v3/$path > openapi/$(echo $path | sed 's|/|__|g')_openapi.json
    done

GO_MODULES is the directory `k8s.io` of the module cache with `api@v…`, `apimachinery@v…` and
`apiextensions-apiserver@v…` in it: OpenAPI does not tell which fields vanish when they are zero. Only the tags of the
struct fields are read.

The table, line by line:

    V version                     the version of the Kubernetes modules
    K group version Kind number   the definition of a kind; the core group is `-`
    D name [atomic]               the next definition; the numbers count from 0
    .field type attribute …       a field of it

A type:

    s i l b n                     string, int32, int64, boolean, number
    q x t u y                     quantity, int or string, time, time with microseconds, bytes in base64
    o                             any value, which no schema describes
    7                             definition 7
    [T  {T                        list and map of T

Attributes:

    k=a,b                         the list is a map by these keys
    set                           the list is a set
    p  p=key                      a strategic merge merges the list, by key if it has one
    retain                        a strategic merge knows `$retainKeys` here
    atomic                        the map or object is replaced as a whole by an apply
    d=JSON                        the default that counts as the value of a missing key
    *                             the field is required
    z                             a zero value is the same as none
    e                             the field is always there
    #1  #2/5                      the number in protobuf, or that of the message which has it and the number there
"""
import glob
import json
import os
import re
import sys

GROUPS = """api__v1 apis__apps__v1 apis__batch__v1 apis__autoscaling__v1 apis__autoscaling__v2 apis__policy__v1
apis__networking.k8s.io__v1 apis__rbac.authorization.k8s.io__v1 apis__discovery.k8s.io__v1 apis__events.k8s.io__v1
apis__coordination.k8s.io__v1 apis__storage.k8s.io__v1 apis__scheduling.k8s.io__v1 apis__node.k8s.io__v1
apis__certificates.k8s.io__v1 apis__admissionregistration.k8s.io__v1 apis__apiextensions.k8s.io__v1
apis__apiregistration.k8s.io__v1 apis__authentication.k8s.io__v1 apis__authorization.k8s.io__v1""".split()

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
# Definitions with a meaning of their own.
LEAVES = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "q",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "x",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "o",
    META + "FieldsV1": "o",
    META + "Time": "t",
    META + "MicroTime": "u",
}
# Kinds that every group repeats and that no object has.
SHARED = {"DeleteOptions", "WatchEvent", "Status", "APIResourceList", "APIGroup", "APIGroupList", "APIVersions"}

PACKAGES = {
    "io.k8s.apimachinery.pkg.": "apimachinery/pkg/",
    "io.k8s.apiextensions-apiserver.pkg.": "apiextensions-apiserver/pkg/",
    "io.k8s.kube-aggregator.pkg.": "kube-aggregator/pkg/",
    "io.k8s.api.": "api/",
}


class Go:
    """The struct tags of the Go types."""

    STRUCT = re.compile(r"^type (\w+) struct \{$(.*?)^\}$", re.M | re.S)
    FIELD = re.compile(r"^\t(?:(\w+)\s+)?([\w.*\[\]]+)\s+`json:\"([^\"]*)\"(?:[^`]*protobuf:\"\w+,(\d+))?", re.M)
    NAMED = re.compile(r"^type (\w+) (=\s*)?([\w.\[\]*]+)$", re.M)

    def __init__(self, modules):
        self.modules = modules
        self.packages = {}

    def package(self, path):
        if path not in self.packages:
            module, _, rest = path.partition("/")
            newest = max(glob.glob(f"{self.modules}/{module}@*"), default="", key=version_key)
            structs, named = {}, {}
            for file in glob.glob(f"{newest}/{rest}/*.go"):
                if file.endswith("_test.go"):
                    continue
                text = open(file).read()
                structs.update((m[1], m[2]) for m in self.STRUCT.finditer(text))
                named.update((m[1], m[3]) for m in self.NAMED.finditer(text))
            self.packages[path] = (structs, named)
        return self.packages[path]

    def fields(self, path, name):
        """json name -> (Go type, options, protobuf number), with those of embedded structs."""
        structs, _ = self.package(path)
        found = {}
        for field, type, tag, number in self.FIELD.findall(structs.get(name, "")):
            json_name, *options = tag.split(",")
            if not field and (not json_name or "inline" in options):
                inner = type.lstrip("*")
                # The kind of a message is told outside of it.
                if "." not in inner and inner != "TypeMeta":
                    found.update(self.within(number, self.fields(path, inner)))
            elif json_name == "" and "inline" in options:
                if type != "TypeMeta":
                    found.update(self.within(number, self.fields(path, type.lstrip("*"))))
            elif json_name != "-":
                found[json_name] = (type, options, number)
        return found

    def within(self, number, fields):
        """The fields of an embedded struct, which is a message of its own in protobuf."""
        join = lambda inner: f"{number}/{inner}" if number and inner else inner
        return {name: (type, options, join(inner)) for name, (type, options, inner) in fields.items()}

    def is_struct(self, path, type):
        structs, named = self.package(path)
        if "." in type:
            return not type.startswith(("intstr.", "types.")) and type not in ("v1.ConditionStatus", "metav1.ConditionStatus") and type.split(".")[-1] in KNOWN_STRUCTS
        return type in structs


# Structs of other packages that appear as values.
KNOWN_STRUCTS = {
    "ObjectMeta", "ListMeta", "LabelSelector", "Time", "MicroTime", "RawExtension", "IntOrString", "Quantity",
    "TypedLocalObjectReference", "ObjectReference", "PodTemplateSpec", "PersistentVolumeClaimSpec", "PodSpec",
    "NodeSelector", "JSON", "JSONSchemaPropsOrBool", "ResourceRequirements", "UserInfo",
}


def version_key(path):
    return [int(n) for n in re.findall(r"\d+", path.split("@")[-1])][:3]


def go_package(definition):
    for prefix, path in PACKAGES.items():
        if definition.startswith(prefix):
            *parts, name = definition[len(prefix):].split(".")
            return path + "/".join(parts), name
    return None, None


class Table:
    def __init__(self, schemas, go):
        self.schemas, self.go = schemas, go
        self.numbers, self.lines = {}, []

    def number(self, name):
        if name not in self.numbers:
            self.numbers[name] = len(self.numbers)
            self.lines.append(None)
            self.lines[self.numbers[name]] = self.definition(name)
        return self.numbers[name]

    def type(self, schema):
        ref = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
        if ref:
            name = ref.rsplit("/", 1)[-1]
            if name in LEAVES:
                return LEAVES[name]
            target = self.schemas[name]
            if not target.get("properties"):
                if target.get("type") in ("string", "array") or "additionalProperties" in target:
                    return self.type(target)
                return "o" if not name.startswith("io.k8s.api.") else str(self.number(name))
            return str(self.number(name))
        kind, format = schema.get("type"), schema.get("format")
        if kind == "array":
            return "[" + self.type(schema["items"])
        if kind == "object":
            inner = schema.get("additionalProperties")
            return "{" + self.type(inner) if isinstance(inner, dict) else "o"
        if kind == "string":
            return "y" if format == "byte" else "t" if format == "date-time" else "s"
        if kind == "integer":
            return "l" if format == "int64" else "i"
        return {"boolean": "b", "number": "n"}.get(kind, "o")

    def definition(self, name):
        schema = self.schemas[name]
        path, go_name = go_package(name)
        tags = self.go.fields(path, go_name) if path else {}
        atomic = " atomic" if schema.get("x-kubernetes-map-type") == "atomic" else ""
        lines = [f"D {name}{atomic}"]
        required = schema.get("required", [])
        for field, inner in sorted(schema.get("properties", {}).items()):
            words = [f".{field}", self.type(inner)] + self.attributes(inner)
            if field in required:
                words.append("*")
            words += self.zero(path, tags.get(field), words[1])
            if tags.get(field) and tags[field][2]:
                words.append("#" + tags[field][2])
            lines.append(" ".join(words))
        return lines

    def attributes(self, schema):
        words = []
        if schema.get("x-kubernetes-list-type") == "map":
            words.append("k=" + ",".join(schema["x-kubernetes-list-map-keys"]))
        elif schema.get("x-kubernetes-list-type") == "set":
            words.append("set")
        strategy = schema.get("x-kubernetes-patch-strategy", "").split(",")
        if "merge" in strategy:
            key = schema.get("x-kubernetes-patch-merge-key")
            words.append(f"p={key}" if key else "p")
        if "retainKeys" in strategy:
            words.append("retain")
        if schema.get("x-kubernetes-map-type") == "atomic":
            words.append("atomic")
        if schema.get("default") not in (None, {}, "", 0, False):
            words.append("d=" + json.dumps(schema["default"], separators=(",", ":")))
        return words

    def zero(self, path, tag, type):
        if tag is None:
            return []
        go_type, options, _ = tag
        if go_type.startswith("*"):
            return []
        if "omitempty" not in options and "omitzero" not in options:
            return ["e"]
        if go_type.startswith(("[]", "map[")) or type[0] in "[{":
            return ["z"]
        if type in ("t", "u", "q", "x") or type != "y" and self.go.is_struct(path, go_type):
            return ["z"] if "omitzero" in options else ["e"]
        return ["z"]


def main():
    directory, modules = sys.argv[1:]
    schemas, documents = {}, []
    for group in GROUPS:
        document = json.load(open(f"{directory}/{group}_openapi.json"))
        for name, schema in document["components"]["schemas"].items():
            schemas.setdefault(name, schema)
        documents.append(document)
    table, kinds = Table(schemas, Go(modules)), {}
    for name, schema in sorted(schemas.items()):
        for gvk in schema.get("x-kubernetes-group-version-kind", []):
            kind = gvk["kind"]
            if kind in SHARED or kind.endswith("List") and "items" in schema.get("properties", {}):
                continue
            kinds[(gvk["group"] or "-", gvk["version"], kind)] = table.number(name)
    # What typed clients send with a deletion.
    table.number(META + "DeleteOptions")
    newest = max(glob.glob(f"{modules}/api@*"), key=version_key).split("@v0.")[-1]
    print(f"V 1.{newest}")
    for (group, version, kind), number in sorted(kinds.items()):
        print("K", group, version, kind, number)
    for lines in table.lines:
        print("\n".join(lines))


main()
