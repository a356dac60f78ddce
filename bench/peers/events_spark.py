"""Structured Streaming from Kafka to JDBC: events_spark.py JARS SERVERS TOPIC ROWS URL TABLE WORKDIR

Four micro-batches; prints seconds, CPU seconds and rows from the end of the first one on, when Spark has started and warmed up.
"""
import glob
import os
import sys
import time

import local_spark
from pyspark.sql.functions import col, from_json

SCHEMA = """eventType STRING, customerId STRING, productId STRING, timestamp STRING, quantity INT, totalAmount DECIMAL(10,2),
    paymentMethod STRING, metadata STRUCT<category: STRING, source: STRING>, recommendedProductId STRING, algorithm STRING"""
COLUMNS = {
    "event_type": "e.eventType", "customer_id": "e.customerId", "product_id": "e.productId", "timestamp": "e.timestamp",
    "quantity": "e.quantity", "total_amount": "e.totalAmount", "payment_method": "e.paymentMethod",
    "category": "e.metadata.category", "source": "e.metadata.source", "recommended_product_id": "e.recommendedProductId",
    "algorithm": "e.algorithm"}
TYPES = {"customer_id": "int", "timestamp": "timestamp_ntz"}
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main(jars, servers, topic, rows, url, table, workdir):
    spark = local_spark.start("2g", workdir, spark_jars=",".join(glob.glob(f"{jars}/*.jar")), spark_sql_session_timeZone="UTC")
    pids = [os.getpid(), spark.sparkContext._gateway.proc.pid]
    events = (spark.readStream.format("kafka").option("kafka.bootstrap.servers", servers).option("subscribe", topic)
              .option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", int(rows) // 4).load()
              .select(from_json(col("value").cast("string"), SCHEMA).alias("e"))
              .select(*(col(path).cast(TYPES.get(name, "string")).alias(name) if name in TYPES else col(path).alias(name)
                        for name, path in COLUMNS.items())))

    ends = []

    def write(batch, number):
        (batch.write.format("jdbc").option("url", url).option("dbtable", table).option("driver", "org.postgresql.Driver")
         .option("batchsize", 10000).option("isolationLevel", "READ_COMMITTED").mode("append").save())
        ends.append((time.time(), sum(map(cpu_of, pids))))

    query = (events.writeStream.foreachBatch(write).option("checkpointLocation", f"{workdir}/checkpoint")
             .trigger(availableNow=True).start())
    query.awaitTermination()
    after_first = sum(progress["numInputRows"] for progress in query.recentProgress[1:])
    print(ends[-1][0] - ends[0][0], ends[-1][1] - ends[0][1], after_first)
    local_spark.stop(spark)


main(*sys.argv[1:])
