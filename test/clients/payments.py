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
from confluent_kafka.serialization import MessageField, SerializationContext

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


def main():
    brokers, address, form, topic, first, count = sys.argv[1:7]
    generation = int(sys.argv[7]) if len(sys.argv) > 7 else 1
    registry = SchemaRegistryClient({"url": address})
    producer = Producer({"bootstrap.servers": brokers, "acks": "all"})
    out = csv.writer(sys.stdout, lineterminator="\n")
    convert, serialize = {
        "avro": lambda: (for_avro, AvroSerializer(registry, avro_schema(generation))),
        "json": lambda: (for_json, JSONSerializer(JSON_SCHEMA, registry)),
    }[form]()
    context = SerializationContext(topic, MessageField.VALUE)

    for payment in payments(int(first), int(count)):
        out.writerow(line(payment, generation))
        producer.produce(topic, serialize(convert(payment, generation), context), partition=0)
    if producer.flush(30) > 0:
        sys.exit("messages were not delivered")


main()
