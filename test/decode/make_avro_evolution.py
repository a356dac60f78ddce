"""Writes avro_evolution.h: what becomes of values when their schema goes on, by fastavro (1.13), which is not ours.

    python3 make_avro_evolution.py >avro_evolution.h

Of each change BACKWARD is a new reader of old values, FORWARD an old reader of new ones; what FULL asks for is both.
"""

import io
import json

import fastavro
from fastavro.read import SchemaResolutionError


def record(*fields):
    return {"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}, *fields]}


def field(name, kind, **more):
    return {"name": name, "type": kind, **more}


def enum(*symbols, **more):
    return {"type": "enum", "name": "e", "symbols": list(symbols), **more}


BASE = field("a", "string")
INNER = {"type": "record", "name": "in", "fields": [field("x", "int")]}
WIDER = {"type": "record", "name": "in", "fields": [field("x", "long"), field("y", "string", default="d")]}

# name, old, new, a value of the old, a value of the new
CHANGES = [
    ("added with default", record(BASE), record(BASE, field("b", "int", default=5)), {"id": 1, "a": "v"}, {"id": 2, "a": "w", "b": 3}),
    ("added without default", record(BASE), record(BASE, field("b", "int")), {"id": 1, "a": "v"}, {"id": 2, "a": "w", "b": 3}),
    ("added, null or int", record(BASE), record(BASE, field("b", ["null", "int"], default=None)), {"id": 1, "a": "v"},
     {"id": 2, "a": "w", "b": 3}),
    ("added in front", record(BASE), {**record(), "fields": [field("b", "string", default="z"), *record(BASE)["fields"]]},
     {"id": 1, "a": "v"}, {"id": 2, "a": "w", "b": "y"}),
    ("added record", record(BASE), record(BASE, field("b", INNER, default={"x": 7})), {"id": 1, "a": "v"},
     {"id": 2, "a": "w", "b": {"x": 1}}),
    ("added array", record(BASE), record(BASE, field("b", {"type": "array", "items": "int"}, default=[1, 2])), {"id": 1, "a": "v"},
     {"id": 2, "a": "w", "b": []}),
    ("removed with default", record(field("b", "int", default=5), BASE), record(BASE), {"id": 1, "b": 2, "a": "v"}, {"id": 2, "a": "w"}),
    ("removed without default", record(field("b", "int"), BASE), record(BASE), {"id": 1, "b": 2, "a": "v"}, {"id": 2, "a": "w"}),
    ("reordered", record(BASE, field("b", "int")), record(field("b", "int"), BASE), {"id": 1, "a": "v", "b": 2}, {"id": 2, "b": 3, "a": "w"}),
    ("renamed with alias", record(BASE), record(field("c", "string", aliases=["a"])), {"id": 1, "a": "v"}, {"id": 2, "c": "w"}),
    ("renamed with alias on both sides", record(field("a", "string", aliases=["c"])), record(field("c", "string", aliases=["a"])),
     {"id": 1, "a": "v"}, {"id": 2, "c": "w"}),
    ("renamed without alias", record(BASE), record(field("c", "string")), {"id": 1, "a": "v"}, {"id": 2, "c": "w"}),
    ("renamed without alias, with default", record(field("a", "string", default="o")), record(field("c", "string", default="n")),
     {"id": 1, "a": "v"}, {"id": 2, "c": "w"}),
    *[("%s to %s" % (old, new), record(field("n", old)), record(field("n", new)), {"id": 1, "n": before}, {"id": 2, "n": after})
      for old, new, before, after in [
          ("int", "long", -7, 1 << 40), ("int", "float", 3, 2.5), ("int", "double", -3, 2.25), ("long", "float", 1 << 20, 0.5),
          ("long", "double", 1 << 50, -0.125), ("float", "double", 1.5, 2.75), ("string", "bytes", "caf\u00e9", b"ok"),
          ("int", "string", 4, "4"), ("boolean", "int", True, 1), ("double", "long", 1.0, 9)]],
    ("int to null or long", record(field("n", "int")), record(field("n", ["null", "long"])), {"id": 1, "n": 6}, {"id": 2, "n": 7}),
    ("string to null or string, null", record(field("n", "string")), record(field("n", ["null", "string"])), {"id": 1, "n": "s"},
     {"id": 2, "n": None}),
    ("a branch more", record(field("n", ["null", "int"])), record(field("n", ["null", "int", "string"])), {"id": 1, "n": 6},
     {"id": 2, "n": "s"}),
    ("symbol added", record(field("e", enum("A", "B"))), record(field("e", enum("A", "B", "C"))), {"id": 1, "e": "B"}, {"id": 2, "e": "C"}),
    ("symbol added, with default", record(field("e", enum("A", "B", default="A"))), record(field("e", enum("A", "B", "C", default="A"))),
     {"id": 1, "e": "B"}, {"id": 2, "e": "C"}),
    ("symbol removed, not used", record(field("e", enum("A", "B", "C"))), record(field("e", enum("C", "A"))), {"id": 1, "e": "C"},
     {"id": 2, "e": "A"}),
    ("within a record", record(field("i", INNER)), record(field("i", WIDER)), {"id": 1, "i": {"x": 1}}, {"id": 2, "i": {"x": 2, "y": "z"}}),
    ("within an array", record(field("i", {"type": "array", "items": INNER})), record(field("i", {"type": "array", "items": WIDER})),
     {"id": 1, "i": [{"x": 1}, {"x": 2}]}, {"id": 2, "i": [{"x": 3, "y": "q"}]}),
    ("within a map", record(field("i", {"type": "map", "values": "int"})), record(field("i", {"type": "map", "values": "double"})),
     {"id": 1, "i": {"k": 1}}, {"id": 2, "i": {"k": 0.5}}),
    ("array to string", record(field("i", {"type": "array", "items": "int"})), record(field("i", "string")), {"id": 1, "i": [1]},
     {"id": 2, "i": "s"}),
    ("fixed of another size", record(field("f", {"type": "fixed", "name": "f2", "size": 2})),
     record(field("f", {"type": "fixed", "name": "f2", "size": 3})), {"id": 1, "f": b"ab"}, {"id": 2, "f": b"abc"}),
]


def encoded(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def as_json(value):
    """The JSON that docs/streams.md says a value becomes; whole floats as PostgreSQL writes them."""
    if isinstance(value, bytes):
        return '"\\\\x%s"' % value.hex()
    if isinstance(value, float):
        return repr(int(value)) if value == int(value) else repr(value)
    if isinstance(value, dict):
        return "{%s}" % ",".join("%s:%s" % (as_json(k), as_json(v)) for k, v in value.items())
    if isinstance(value, list):
        return "[%s]" % ",".join(map(as_json, value))
    return json.dumps(value, ensure_ascii=False)


def in_c(text):
    out = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"%s"' % "".join(c if ord(c) < 128 else "".join("\\%03o" % b for b in c.encode()) for c in out)


def outcome(writer, reader, data):
    try:
        value = fastavro.schemaless_reader(io.BytesIO(data), fastavro.parse_schema(writer), fastavro.parse_schema(reader))
    except SchemaResolutionError:
        return None
    return value


def main():
    print("/* avro_evolution.h — written by make_avro_evolution.py. */")
    print("#ifndef AVRO_EVOLUTION_H\n#define AVRO_EVOLUTION_H\n\n/* clang-format off */\nstatic const Evolution evolutions[] = {")
    for name, old, new, before, after in CHANGES:
        for direction, writer, reader, value in (("BACKWARD", old, new, before), ("FORWARD", new, old, after)):
            data = encoded(writer, value)
            read = outcome(writer, reader, data)
            print("\t{%s, {%s,\n\t %s,\n\t \"%s\", %s}}," % (
                in_c("%s, %s" % (name, direction)), in_c(json.dumps(writer)), in_c(json.dumps(reader)), data.hex(),
                in_c("!bad_avro" if read is None else as_json(read))))
    print("};\n/* clang-format on */\n\n#endif")


main()
