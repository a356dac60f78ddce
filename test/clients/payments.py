"""Payments as Confluent's client for Python writes them, with its serializers and a schema registry.

payments.py BROKERS REGISTRY FORMAT TOPIC FIRST COUNT [GENERATION]

Prints, one CSV line a message, what a table should hold: id, reference, customer, amount, paid_at, day, method, tags, city,
zip, note, rate, channel. GENERATION (1) is the schema's: 2 has a further field, in 3 customer is called client and id is an int.
"""

import csv
import datetime
import decimal
import json
import sys
import uuid

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def payments(first, count):
    for i in range(first, first + count):
        yield {
            "id": i,
            "reference": str(uuid.UUID(int=i * 7919)),
            "customer": "J\u00fcrgen \u6c34 \U0001f600 %d" % (i % 17),
            "amount": decimal.Decimal(i * 37 - 5000).scaleb(-2),
            "paid_at": EPOCH + datetime.timedelta(milliseconds=1700000000000 + i * 86400123),
            "day": datetime.date(2024, 2, 28) + datetime.timedelta(days=i % 3),
            "method": ("CARD", "CASH", "WALLET")[i % 3],
            "tags": ["t%d" % k for k in range(i % 4)],
            "address": {"city": "M\u00fcnchen", "zip": None if i % 5 == 0 else "%05d" % i},
            "note": None if i % 2 else 'a "note", with\nlines',
            "rate": i / 8.0,
        }


def line(payment, generation):
    address = payment["address"]
    return [
        payment["id"], payment["reference"], payment["customer"], payment["amount"], payment["paid_at"].isoformat(),
        payment["day"], payment["method"], json.dumps(payment["tags"]), address["city"], address["zip"],
        payment["note"], payment["rate"], "web" if generation > 1 else None,
    ]


def avro_schema(generation):
    fields = [
        {"name": "id", "type": "int" if generation == 3 else "long"},
        {"name": "reference", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "client" if generation == 3 else "customer", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "paid_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "method", "type": {"type": "enum", "name": "Method", "symbols": ["CARD", "CASH", "WALLET"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "address", "type": {"type": "record", "name": "Address", "fields": [
            {"name": "city", "type": "string"}, {"name": "zip", "type": ["null", "string"]}]}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "rate", "type": "double"},
    ]
    if generation > 1:
        fields.append({"name": "channel", "type": "string", "default": "web"})
    return json.dumps({"type": "record", "name": "Payment", "namespace": "shop", "fields": fields})


JSON_SCHEMA = json.dumps({
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Payment", "type": "object",
    "properties": {"id": {"type": "integer"}, "amount": {"type": "string"}}, "required": ["id"]})


def for_avro(payment, generation):
    if generation > 1:
        payment = dict(payment, channel="web")
    if generation == 3:
        payment = dict(payment, client=payment["customer"])
    return payment


def for_json(payment, _generation):
    return dict(payment, amount=str(payment["amount"]), paid_at=payment["paid_at"].isoformat(), day=str(payment["day"]))


# name, number, type, and whether it is repeated or optional
PROTOBUF_FIELDS = [
    ("id", 1, "TYPE_INT64", ""), ("reference", 2, "TYPE_STRING", ""), ("customer", 3, "TYPE_STRING", ""),
    ("amount", 4, "TYPE_STRING", ""), ("paid_at", 5, ".google.protobuf.Timestamp", ""), ("day", 6, "TYPE_STRING", ""),
    ("method", 7, ".shop.Method", ""), ("tags", 8, "TYPE_STRING", "repeated"), ("address", 9, ".shop.Address", ""),
    ("note", 10, "TYPE_STRING", "optional"), ("rate", 11, "TYPE_DOUBLE", ""), ("channel", 12, "TYPE_STRING", "optional"),
]
ADDRESS_FIELDS = [("city", 1, "TYPE_STRING", ""), ("zip", 2, "TYPE_STRING", "optional")]


def add_fields(message, fields):
    proto = descriptor_pb2.FieldDescriptorProto
    for name, number, kind, label in fields:
        field = message.field.add(name=name, number=number, label=proto.LABEL_REPEATED if label == "repeated" else proto.LABEL_OPTIONAL)
        if kind.startswith("."):
            field.type_name = kind
            field.type = proto.TYPE_ENUM if kind.endswith("Method") else proto.TYPE_MESSAGE
        else:
            field.type = getattr(proto, kind)
        if label == "optional":
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name="_" + name)


def protobuf_payment():
    file = descriptor_pb2.FileDescriptorProto(name="payment.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    method = file.enum_type.add(name="Method")
    for number, name in enumerate(("UNKNOWN", "CARD", "CASH", "WALLET")):
        method.value.add(name=name, number=number)
    add_fields(file.message_type.add(name="Address"), ADDRESS_FIELDS)
    add_fields(file.message_type.add(name="Payment"), PROTOBUF_FIELDS)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    return message_factory.GetMessageClass(pool.AddSerializedFile(file.SerializeToString()).message_types_by_name["Payment"])


def for_protobuf(kind):
    def convert(payment, _generation):
        address = {k: v for k, v in payment["address"].items() if v is not None}
        given = dict(payment, amount=str(payment["amount"]), day=str(payment["day"]), address=address)
        paid_at = given.pop("paid_at")
        message = kind(**{k: v for k, v in given.items() if v is not None})
        message.paid_at.FromDatetime(paid_at)
        return message
    return convert


def main():
    brokers, address, form, topic, first, count = sys.argv[1:7]
    generation = int(sys.argv[7]) if len(sys.argv) > 7 else 1
    registry = SchemaRegistryClient({"url": address})
    producer = Producer({"bootstrap.servers": brokers, "acks": "all"})
    out = csv.writer(sys.stdout, lineterminator="\n")
    payment_type = protobuf_payment()
    convert, serialize = {
        "avro": lambda: (for_avro, AvroSerializer(registry, avro_schema(generation))),
        "protobuf": lambda: (for_protobuf(payment_type), ProtobufSerializer(payment_type, registry)),
        "json": lambda: (for_json, JSONSerializer(JSON_SCHEMA, registry)),
    }[form]()
    context = SerializationContext(topic, MessageField.VALUE)

    for payment in payments(int(first), int(count)):
        out.writerow(line(payment, generation))
        producer.produce(topic, serialize(convert(payment, generation), context), partition=0)
    if producer.flush(30) > 0:
        sys.exit("messages were not delivered")


main()
