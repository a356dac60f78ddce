"""Messages of a topic as Confluent's client for Python reads them, with its deserializer of Avro and a schema registry.

consume.py BROKERS REGISTRY TOPIC COUNT [key]

Prints the values of so many messages, or their keys, one line of JSON each: whole and decimal numbers, dates and times as text.
"""

import datetime
import json
import sys
import time

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

SECONDS = 60


def plain(value):
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    return value if value is None or isinstance(value, (str, float)) else str(value)


def main():
    brokers, address, topic, count = sys.argv[1:5]
    keys = sys.argv[5:] == ["key"]
    read = AvroDeserializer(SchemaRegistryClient({"url": address}))
    context = SerializationContext(topic, MessageField.KEY if keys else MessageField.VALUE)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    left, until = int(count), time.monotonic() + SECONDS

    while left > 0:
        message = consumer.poll(1.0)
        if message is not None and message.error():
            sys.exit(str(message.error()))
        if message is not None:
            print(json.dumps(plain(read(message.key() if keys else message.value(), context))))
            left -= 1
        elif time.monotonic() > until:
            sys.exit("%d messages of topic %s have not come in %d s" % (left, topic, SECONDS))
    consumer.close()


main()
