"""What others read in a data set of Parquet files: read.py WHAT ENGINE DATASET [QUERY]

The files are those of the manifest. ENGINE is pyarrow or duckdb.

rows     every row as a line, sorted; columns by name, each as its value has one spelling in any language: whole numbers, decimals
         digit by digit, days and microseconds since 1970, reals, texts and bytes as the hexadecimal of their bytes
query    (duckdb) what QUERY says, a row a line; DATASET is the directory of them, each of which is a table
totals   (pyarrow) rows, and the sum of each column that has one
groups   (pyarrow) a JSON object for each row group: rows, columns with least and greatest value, nulls, encodings, codec
skipped  (pyarrow) how many row groups of how many are left for COLUMN = VALUE, which QUERY is
files    (pyarrow) rows of what is found without the manifest, by the directories alone
"""

import decimal
import json
import os
import struct
import sys

what, engine, dataset = sys.argv[1:4]
query = sys.argv[4] if len(sys.argv) > 4 else ""



def files_of(directory):
    with open(os.path.join(directory, "_manifest.json"), encoding="utf-8") as manifest:
        return [os.path.join(directory, part["file"]) for part in json.load(manifest)["parts"]]


files = files_of(dataset) if what != "query" else []


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


def arrow_rows():
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in files:
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


def duckdb_connection(datasets):
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name, paths in datasets.items():
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM read_parquet([{listed}], hive_partitioning = true)')
    return connection


def duckdb_rows():
    connection = duckdb_connection({"data": files})
    columns = sorted((row[0], row[1]) for row in connection.execute("DESCRIBE data").fetchall())
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
    for row in connection.execute("SELECT " + ", ".join(expressions) + " FROM data").fetchall():
        yield [spell(value, real) for value, real in zip(row, reals)]


def print_rows():
    rows = arrow_rows() if engine == "pyarrow" else duckdb_rows()
    for line in sorted("\t".join(row) for row in rows):
        print(line)


def print_query():
    names = [name for name in os.listdir(dataset) if os.path.exists(os.path.join(dataset, name, "_manifest.json"))]
    for row in duckdb_connection({name: files_of(os.path.join(dataset, name)) for name in names}).execute(query).fetchall():
        print("\t".join("\\N" if value is None else format(value, "f") if isinstance(value, decimal.Decimal) else str(value) for value in row))


def print_totals():
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pa.concat_tables(pq.ParquetFile(path).read() for path in files)
    print(f"rows\t{table.num_rows}")
    for name in sorted(table.column_names):
        kind = table.column(name).type
        if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            value = pc.sum(table.column(name)).as_py()
            print(f"{name}\t{format(value, 'f') if isinstance(value, decimal.Decimal) else value}")


def statistics(column):
    facts = {"encodings": sorted(column.encodings), "codec": column.compression, "nulls": column.statistics.null_count}
    if column.statistics.has_min_max:
        facts["min"] = str(column.statistics.min)
        facts["max"] = str(column.statistics.max)
    return facts


def print_groups():
    import pyarrow.parquet as pq

    for path in files:
        metadata = pq.ParquetFile(path).metadata
        names = metadata.schema.names
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            columns = {name: statistics(group.column(j)) for j, name in enumerate(names)}
            order = [names[column.column_index] for column in group.sorting_columns]
            print(json.dumps({"rows": group.num_rows, "sorted": order, "columns": columns}))


def print_skipped():
    import pyarrow.dataset as ds

    name, value = query.split("=", 1)
    left = total = 0
    for path in files:
        fragment = next(ds.dataset(path, format="parquet").get_fragments())
        value_type = fragment.physical_schema.field(name).type
        total += fragment.num_row_groups
        left += fragment.subset(ds.field(name) == ds.scalar(value).cast(value_type)).num_row_groups
    print(f"{left}\t{total}")


def print_files():
    import pyarrow.dataset as ds

    print(ds.dataset(dataset, format="parquet", partitioning="hive").count_rows())


{"rows": print_rows, "query": print_query, "totals": print_totals, "groups": print_groups, "skipped": print_skipped, "files": print_files}[what]()
