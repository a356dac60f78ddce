"""DuckDB and Spark with tables of Parquet files: what read.py and sales.py share."""

import json
import os


def files_of(dataset):
    """Those of its manifest."""
    with open(os.path.join(dataset, "_manifest.json"), encoding="utf-8") as manifest:
        return [os.path.join(dataset, part["file"]) for part in json.load(manifest)["parts"]]


def datasets_in(directory):
    return [name for name in os.listdir(directory) if os.path.exists(os.path.join(directory, name, "_manifest.json"))]


def duckdb_tables(directory, names):
    """Each data set as a table."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name in names:
        connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM read_parquet({files_of(os.path.join(directory, name))}, hive_partitioning = true)')
    return connection


def spark_session(hive=False):
    """The one of this process; with a catalog of Hive when it was asked for first."""
    from pyspark.sql import SparkSession

    settings = {"spark.ui.enabled": "false", "spark.driver.memory": "2g", "spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": "2",
                "spark.log.level": "ERROR"}
    builder = SparkSession.builder.master("local[2]").config(map=settings)
    if hive:
        builder = builder.config("spark.hadoop.javax.jdo.option.ConnectionURL", "jdbc:derby:memory:catalog;create=true").enableHiveSupport()
    return builder.getOrCreate()


def spark_tables(directory, names):
    spark = spark_session()
    for name in names:
        root = os.path.join(directory, name)
        spark.read.option("basePath", root).parquet(*files_of(root)).createOrReplaceTempView(name)
    return spark


TABLES = {"duckdb": duckdb_tables, "spark": spark_tables}


def ask(engine, query):
    """The rows of a query, from what duckdb_tables() or spark_tables() returned."""
    return engine.execute(query).fetchall() if hasattr(engine, "execute") else engine.sql(query).collect()
