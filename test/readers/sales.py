"""The reports of the retail case by three engines, from what txpipe wrote.

lake     the files of the feed sales_transactions as they were delivered, whatever their columns' order, packed or not, where every
         record is a sale; and their records by the day and hour of arrival
arrived  only these, whatever is in the files
curated  the data sets of Parquet fact_sales, dim_product, dim_offer, dim_location
defined  (Spark) tables of these names

Of curated also the sales in branches of one day, when a DAY is named; they need dim_sales_agent.

A line is a fact, its parts separated by tabs, as test/retail_totals prints it. Nothing of the files is cleaned but what every delivery
writes in its own way: true is True or yes, an unknown city is empty.
"""

import decimal
import os

from engines import TABLES, ask, files_of, spark_session

DATASETS = ["fact_sales", "dim_product", "dim_offer", "dim_location"]
COLUMNS = ["product_id", "product_name", "offer_1", "offer_2", "offer_3", "offer_4", "offer_5", "units", "unit_price", "is_online", "shipping_address"]

# SQL that DuckDB and Spark both take.
FROM_LAKE = """
SELECT CAST(product_id AS INTEGER) AS product_id, product_name, units, gross, CAST(gross * (100 - 5 * offer) * 0.01 AS DECIMAL(24,4)) AS paid,
       CASE WHEN offer > 0 THEN concat('offer_', CAST(offer AS STRING)) END AS offer_code, 5 * offer AS discount_pct, is_online,
       coalesce(nullif(split_part(address, '/', -3), ''), '(unknown)') AS city, split_part(address, '/', -2) AS state
FROM (SELECT product_id, product_name, CAST(units AS INTEGER) AS units, CAST(CAST(units AS INTEGER) * CAST(unit_price AS DECIMAL(12,2)) AS DECIMAL(20,2)) AS gross,
             coalesce(lower(is_online) IN ('true', 'yes'), false) AS is_online, coalesce(shipping_address, '///') AS address,
             CASE WHEN lower(offer_1) IN ('true', 'yes') THEN 1 WHEN lower(offer_2) IN ('true', 'yes') THEN 2 WHEN lower(offer_3) IN ('true', 'yes') THEN 3
                  WHEN lower(offer_4) IN ('true', 'yes') THEN 4 WHEN lower(offer_5) IN ('true', 'yes') THEN 5 ELSE 0 END AS offer
      FROM lake) AS delivered
"""
FROM_CURATED = """
SELECT product_id, product_name, units, gross_amount AS gross, total_paid AS paid, offer_code, fact_sales.discount_pct, is_online, city, state
FROM fact_sales JOIN dim_product USING (product_key) LEFT JOIN dim_offer USING (offer_key) LEFT JOIN dim_location USING (location_key)
"""
ARRIVED = "SELECT 'arrived', CAST(date AS STRING), lpad(CAST(hour AS STRING), 2, '0'), count(*) FROM lake GROUP BY 2, 3"
REPORTS = [
    "SELECT 'total', 'rows', count(*) FROM sales",
    "SELECT 'total', 'units', sum(units) FROM sales",
    "SELECT 'total', 'gross', sum(gross) FROM sales",
    "SELECT 'total', 'paid', sum(paid) FROM sales",
    """SELECT 'product', rank() OVER (ORDER BY sum(units) DESC), product_id, product_name, sum(units), sum(paid)
       FROM sales GROUP BY product_id, product_name""",
    """SELECT 'offer', rank() OVER (ORDER BY count(*) DESC), offer_code, discount_pct, count(*)
       FROM sales WHERE discount_pct > 0 GROUP BY offer_code, discount_pct""",
    """SELECT 'product_offer', product_id, product_name, rank() OVER (PARTITION BY product_id, product_name ORDER BY count(*) DESC), offer_code, count(*)
       FROM sales WHERE discount_pct > 0 GROUP BY product_id, product_name, offer_code""",
    """SELECT 'city', rank() OVER (ORDER BY sum(paid)), city, state, count(*), sum(units), sum(paid)
       FROM sales WHERE is_online GROUP BY city, state"""]
B2B = """
SELECT 'b2b', CAST(transaction_date AS STRING), coalesce(name, '(unknown)'), product_name, sum(units)
FROM fact_sales JOIN dim_product USING (product_key) JOIN dim_sales_agent USING (sales_agent_key)
WHERE NOT is_online AND transaction_date = DATE '{day}' GROUP BY 2, 3, 4
"""


def lake_files(lake):
    """Of the feed; and the directory that their partitions are below."""
    root = os.path.join(lake, "raw", "feed=sales_transactions")
    return root, sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)


# --- DuckDB and Spark ---


def duckdb_lake(lake, records_only=False):
    import duckdb

    # A sale in a shop has no address, nor the comma before it.
    options = "null_padding = true" + (", encoding = 'latin-1'" if records_only else "")
    connection = duckdb.connect()
    connection.execute(f"""CREATE VIEW lake AS SELECT * FROM read_csv({lake_files(lake)[1]}, header = true, delim = ',', quote = '"', escape = '"',
        all_varchar = true, union_by_name = true, hive_partitioning = true, {options})""")
    return connection


def spark_lake(lake, records_only=False):
    # The columns of several files are the first one's: each is read with its own.
    root, paths = lake_files(lake)
    spark = spark_session()
    delivered = None
    for path in paths:
        one = spark.read.options(header=True, quote='"', escape='"', basePath=root).csv(path)
        delivered = one if delivered is None else delivered.unionByName(one, allowMissingColumns=True)
    delivered.createOrReplaceTempView("lake")
    return spark


LAKES = {"duckdb": duckdb_lake, "spark": spark_lake}


def by_sql(engine, directory, zone, day):
    if zone == "curated":
        tables = TABLES[engine](directory, DATASETS + (["dim_sales_agent"] if day else []))
    elif zone == "defined":
        tables = spark_session()
    else:
        tables = LAKES[engine](directory, zone == "arrived")
        yield from ask(tables, ARRIVED)
    if zone != "arrived":
        ask(tables, "CREATE OR REPLACE TEMPORARY VIEW sales AS " + (FROM_LAKE if zone == "lake" else FROM_CURATED))
        for report in REPORTS + ([B2B.format(day=day)] if day else []):
            yield from ask(tables, report)


# --- pyarrow ---


def arrow_file(path, encoding):
    """Its columns as text. Records with other than the header's number of fields, as sales in a shop, are read once more, with theirs."""
    import pyarrow as pa
    import pyarrow.csv as csv

    others = {}

    def set_aside(record):
        others.setdefault(record.actual_columns, []).append(record.text)
        return "skip"

    convert = csv.ConvertOptions(column_types={name: pa.string() for name in COLUMNS})
    with pa.input_stream(path) as stream:
        parts = [csv.read_csv(stream, csv.ReadOptions(use_threads=False, encoding=encoding), csv.ParseOptions(invalid_row_handler=set_aside), convert)]
    names = parts[0].column_names
    for width, records in others.items():
        text = pa.py_buffer("\n".join(records).encode())
        parts.append(csv.read_csv(text, csv.ReadOptions(column_names=(names + [f"extra {i}" for i in range(width)])[:width]), convert_options=convert))
    return [part.select([name for name in COLUMNS if name in part.column_names]) for part in parts]


def arrow_lake(lake, encoding="utf8"):
    import pyarrow as pa
    import pyarrow.dataset as ds

    hive = ds.partitioning(pa.schema([("date", pa.string()), ("hour", pa.string())]), flavor="hive")
    root, paths = lake_files(lake)
    parts = []
    for path in paths:
        keys = ds.get_partition_keys(hive.parse(os.path.relpath(path, root)))
        for part in arrow_file(path, encoding):
            for name in ("date", "hour"):
                part = part.append_column(name, pa.repeat(pa.scalar(keys[name]), part.num_rows))
            parts.append(part)
    return pa.concat_tables(parts, promote_options="default")


def arrow_from_lake(delivered):
    """The columns of FROM_LAKE."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def is_true(name):
        return pc.fill_null(pc.is_in(pc.utf8_lower(delivered[name]), value_set=pa.array(["true", "yes"])), False)

    offer = pa.array([0] * delivered.num_rows)
    for number in (5, 4, 3, 2, 1):
        offer = pc.if_else(is_true(f"offer_{number}"), number, offer)
    units = delivered["units"].cast(pa.int32())
    gross = pc.multiply(units.cast(pa.decimal128(10, 0)), delivered["unit_price"].cast(pa.decimal128(12, 2)))
    share = pa.array([1 - decimal.Decimal(5 * number) / 100 for number in range(6)], pa.decimal128(3, 2))
    place = pc.extract_regex(delivered["shipping_address"], "(?P<city>[^/]*)/(?P<state>[^/]*)/[^/]*$")
    city = pc.struct_field(place, "city")
    return pa.table({
        "product_id": delivered["product_id"].cast(pa.int32()), "product_name": delivered["product_name"],
        "units": units, "gross": gross, "paid": pc.multiply(gross, pc.take(share, offer)),
        "offer_code": pc.binary_join_element_wise("offer", offer.cast(pa.string()), "_"), "discount_pct": pc.multiply(offer, 5),
        "is_online": is_true("is_online"), "city": pc.if_else(pc.equal(city, ""), "(unknown)", city), "state": pc.struct_field(place, "state")})


def arrow_from_curated(directory):
    import pyarrow as pa
    import pyarrow.parquet as pq

    fact, *dimensions = [pa.concat_tables(pq.ParquetFile(path).read() for path in files_of(os.path.join(directory, name))) for name in DATASETS]
    fact = fact.select(["product_key", "offer_key", "location_key", "units", "gross_amount", "total_paid", "discount_pct", "is_online"])
    for key, dimension in zip(("product_key", "offer_key", "location_key"), dimensions):
        columns = [key] + [name for name in ("product_id", "product_name", "offer_code", "city", "state") if name in dimension.column_names]
        fact = fact.join(dimension.select(columns), key)
    return fact.rename_columns({"gross_amount": "gross", "total_paid": "paid"})


def arrow_report(kind, table, keys, sums, rank_of, descending, within=0):
    """Rows of sums by keys, ranked among those that agree in the first keys, so many; the count of rows is called n."""
    groups = table.group_by(keys).aggregate([(name, "sum") for name in sums] + [([], "count_all")])
    groups = groups.rename_columns({**{f"{name}_sum": name for name in sums}, "count_all": "n"}).to_pylist()
    for row in groups:
        rivals = [other[rank_of] for other in groups if [other[key] for key in keys[:within]] == [row[key] for key in keys[:within]]]
        row["rank"] = 1 + sum(value > row[rank_of] if descending else value < row[rank_of] for value in rivals)
        yield kind, row


def arrow_reports(sales):
    import pyarrow.compute as pc

    redeemed = sales.filter(pc.greater(sales["discount_pct"], 0))
    yield "total", "rows", sales.num_rows
    for name in ("units", "gross", "paid"):
        yield "total", name, pc.sum(sales[name]).as_py()
    product = ["product_id", "product_name"]
    place = ["city", "state"]
    for report, columns in (
            (arrow_report("product", sales, product, ["units", "paid"], "units", True), ["rank", *product, "units", "paid"]),
            (arrow_report("offer", redeemed, ["offer_code", "discount_pct"], [], "n", True), ["rank", "offer_code", "discount_pct", "n"]),
            (arrow_report("product_offer", redeemed, product + ["offer_code"], [], "n", True, 2), [*product, "rank", "offer_code", "n"]),
            (arrow_report("city", sales.filter(sales["is_online"]), place, ["units", "paid"], "paid", False), ["rank", *place, "n", "units", "paid"])):
        for kind, row in report:
            yield kind, *[row[column] for column in columns]


def by_arrow(directory, zone):
    if zone != "curated":
        delivered = arrow_lake(directory, "latin-1" if zone == "arrived" else "utf8")
        for row in delivered.group_by(["date", "hour"]).aggregate([([], "count_all")]).to_pylist():
            yield "arrived", row["date"], row["hour"], row["count_all"]
    if zone == "lake":
        yield from arrow_reports(arrow_from_lake(delivered))
    elif zone == "curated":
        yield from arrow_reports(arrow_from_curated(directory))


def lines(engine, directory, zone, day=None):
    return by_arrow(directory, zone) if engine == "pyarrow" else by_sql(engine, directory, zone, day)
