"""What others read of data sets of Parquet files, and of a lake: read.py WHAT ENGINE DATASET [QUERY [DAY]]

read.py - reads such arguments as JSON, an array a line, and answers each with a JSON string a line: one Spark for all of them.

The files are those of the manifest. ENGINE is pyarrow, duckdb or spark.

rows     every row as a line, sorted; columns by name, each as its value has one spelling in any language: whole numbers, decimals
         digit by digit, days and microseconds since 1970, reals, texts and bytes as the hexadecimal of their bytes
query    (duckdb, spark) what QUERY says, a row a line; DATASET is the directory of them, each of which is a table
totals   (pyarrow) rows, and the sum of each column that has one
groups   (pyarrow) a JSON object for each row group: rows, columns with least and greatest value, nulls, encodings, codec
skipped  (pyarrow) how many row groups of how many are left for COLUMN = VALUE, which QUERY is
files    (pyarrow) rows of what is found without the manifest, by the directories alone
define   (spark) runs the statements of QUERY, in a catalog of Hive
table    (spark) as rows, of the table DATASET that was defined
sales    the reports of sales.py; DATASET is the directory of a lake (QUERY is lake or arrived) or of data sets (QUERY is curated,
         or defined: the tables of that name); of curated, when DAY is given, also that day's sales in branches
clock    seconds since 1970, without further arguments
"""

import decimal
import json
import os
import struct
import sys
import time

import sales
from engines import TABLES, ask, datasets_in, duckdb_tables, files_of, spark_session, spark_tables


def spell(value, real):
    """real: the letter struct has for a float of this width."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return struct.pack(">" + real, value).hex()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return str(value)


def plain(row):
    return "\t".join("\\N" if value is None else format(value, "f") if isinstance(value, decimal.Decimal) else str(value) for value in row)


# --- pyarrow ---


def arrow_rows(dataset):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in files_of(dataset):
        table = pq.ParquetFile(path).read()
        columns = []
        for name in sorted(table.column_names):
            column = table.column(name)
            if pa.types.is_date(column.type):
                column = column.cast(pa.int32())
            elif pa.types.is_timestamp(column.type):
                assert column.type.unit == "us"
                column = column.cast(pa.int64())
            elif not pa.types.is_primitive(column.type) and not pa.types.is_decimal(column.type) and not pa.types.is_binary(column.type):
                column = column.cast(pa.string())
            real = "f" if pa.types.is_float32(column.type) else "d"
            columns.append([spell(value, real) for value in column.to_pylist()])
        yield from zip(*columns)


def totals(dataset):
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pa.concat_tables(pq.ParquetFile(path).read() for path in files_of(dataset))
    yield f"rows\t{table.num_rows}"
    for name in sorted(table.column_names):
        kind = table.column(name).type
        if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            yield plain([name, pc.sum(table.column(name)).as_py()])


def statistics(column):
    facts = {"encodings": sorted(column.encodings), "codec": column.compression, "nulls": column.statistics.null_count}
    if column.statistics.has_min_max:
        facts["min"] = str(column.statistics.min)
        facts["max"] = str(column.statistics.max)
    return facts


def groups(dataset):
    import pyarrow.parquet as pq

    for path in files_of(dataset):
        metadata = pq.ParquetFile(path).metadata
        names = metadata.schema.names
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            columns = {name: statistics(group.column(j)) for j, name in enumerate(names)}
            order = [names[column.column_index] for column in group.sorting_columns]
            yield json.dumps({"rows": group.num_rows, "sorted": order, "columns": columns})


def skipped(dataset, query):
    import pyarrow.dataset as ds

    name, value = query.split("=", 1)
    left = total = 0
    for path in files_of(dataset):
        fragment = next(ds.dataset(path, format="parquet").get_fragments())
        value_type = fragment.physical_schema.field(name).type
        total += fragment.num_row_groups
        left += fragment.subset(ds.field(name) == ds.scalar(value).cast(value_type)).num_row_groups
    yield f"{left}\t{total}"


def found(dataset):
    import pyarrow.dataset as ds

    yield str(ds.dataset(dataset, format="parquet", partitioning="hive").count_rows())


# --- DuckDB ---


def duckdb_rows(dataset):
    directory, table = os.path.split(dataset)
    connection = duckdb_tables(directory, [table])
    columns = sorted((row[0], row[1]) for row in ask(connection, f'DESCRIBE "{table}"'))
    expressions = []
    for name, of_type in columns:
        quoted = '"' + name.replace('"', '""') + '"'
        if of_type == "DATE":
            expressions.append(f"datediff('day', DATE '1970-01-01', {quoted})")
        elif of_type.startswith("TIMESTAMP"):
            expressions.append(f"epoch_us({quoted})")
        else:
            expressions.append(quoted)
    reals = ["f" if of_type == "FLOAT" else "d" for _, of_type in columns]
    for row in ask(connection, "SELECT " + ", ".join(expressions) + f' FROM "{table}"'):
        yield [spell(value, real) for value, real in zip(row, reals)]


# --- Spark ---


def spark_rows(dataset):
    directory, table = os.path.split(dataset)
    return table_rows(spark_tables(directory, [table]), table)


def table_rows(spark, table):
    data = spark.table(table)
    columns = sorted((name, of_type.split("(")[0]) for name, of_type in data.dtypes)
    # Python gets -1E-10 of a column with ten decimals as -1.00E-10; Spark's own text has the digits.
    calls = {"date": "unix_date({})", "timestamp": "unix_micros({})", "timestamp_ntz": "unix_micros(CAST({} AS TIMESTAMP))", "decimal": "CAST({} AS STRING)"}
    reals = ["f" if of_type == "float" else "d" for _, of_type in columns]
    for row in data.selectExpr(*(calls.get(of_type, "{}").format(f"`{name}`") for name, of_type in columns)).collect():
        values = [decimal.Decimal(value) if of_type == "decimal" and value else value for value, (_, of_type) in zip(row, columns)]
        yield [spell(value, real) for value, real in zip(values, reals)]


# --- any of them ---

ROWS = {"pyarrow": arrow_rows, "duckdb": duckdb_rows, "spark": spark_rows}

def lines(what, engine="", dataset="", query="", day=None):
    if what == "clock":
        return [str(time.time())]
    if what == "define":
        return [plain(row) for statement in query.split(";") for row in ask(spark_session(hive=True), statement)]
    if what in ("rows", "table"):
        rows = ROWS[engine](dataset) if what == "rows" else table_rows(spark_session(), dataset)
        return sorted("\t".join(row) for row in rows)
    if what == "query":
        return [plain(row) for row in ask(TABLES[engine](dataset, datasets_in(dataset)), query)]
    if what == "sales":
        return sorted(plain(row) for row in sales.lines(engine, dataset, query, day))
    return {"totals": totals, "groups": groups, "skipped": skipped, "files": found}[what](dataset, *[query] if query else [])


if sys.argv[1:] == ["-"]:
    for request in sys.stdin:
        print(json.dumps("\n".join(lines(*json.loads(request)))), flush=True)
else:
    for line in lines(*sys.argv[1:]):
        print(line)
