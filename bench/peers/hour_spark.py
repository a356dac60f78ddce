"""The star of bench/FileBench.pm as Parquet files, by Spark: hour_spark.py JARS CSV WORKDIR prints seconds, sales, the sum paid.

The seconds begin when Spark has started.
"""
import sys
import time

import local_spark

STAGED = """SELECT *, CASE WHEN offer_1 = 'True' THEN 1 WHEN offer_2 = 'True' THEN 2 WHEN offer_3 = 'True' THEN 3
    WHEN offer_4 = 'True' THEN 4 WHEN offer_5 = 'True' THEN 5 ELSE 0 END AS offer,
    CAST(product_id AS DECIMAL(18,1)) AS product_no, regexp_extract(cusomter_email, '^.*?\\\\.com', 0) AS email,
    element_at(split(shipping_address, '/'), -3) AS city, element_at(split(shipping_address, '/'), -2) AS state,
    element_at(split(shipping_address, '/'), -1) AS postal, regexp_replace(shipping_address, '(/[^/]*){3}$', '') AS street
    FROM file"""
DIMENSIONS = {
    "product": "SELECT DISTINCT product_no AS id, product_name AS name, product_category AS category FROM staged",
    "customer": "SELECT DISTINCT customer_id AS id, customer_fname AS first, cusomter_lname AS last, email FROM staged",
    "location": "SELECT DISTINCT city, state FROM staged WHERE shipping_address IS NOT NULL"}
SALES = """SELECT transaction_id, CAST(transaction_date AS DATE) AS transaction_date, p.key AS product, c.key AS customer,
    CAST(CAST(sales_agent_id AS DECIMAL(18,1)) AS INT) AS agent, CAST(CAST(branch_id AS DECIMAL(18,1)) AS INT) AS branch,
    l.key AS location, offer, CAST(CAST(units AS DECIMAL(18,1)) AS INT) AS units, CAST(unit_price AS DECIMAL(12,2)) AS unit_price,
    CAST(CAST(CAST(units AS DECIMAL(18,1)) AS INT) * CAST(unit_price AS DECIMAL(12,2)) * (100 - 5 * offer) * 0.01 AS DECIMAL(24,4))
        AS total_paid, coalesce(is_online, '') IN ('yes', 'True') AS is_online, payment_method, street, postal
    FROM staged s JOIN product p ON p.id = product_no AND p.name = product_name AND p.category = product_category
    JOIN customer c ON c.id = s.customer_id AND c.first = customer_fname AND c.last = cusomter_lname AND c.email = s.email
    LEFT JOIN location l ON l.city = s.city AND l.state = s.state"""


def main(_, csv, workdir):
    spark = local_spark.start("4g", workdir, spark_sql_ansi_enabled="false")
    start = time.time()
    header = open(csv).readline().strip().split(",")
    spark.read.csv(csv, header=True, quote='"', escape='"', schema=", ".join(f"{name} STRING" for name in header)) \
        .createOrReplaceTempView("file")
    spark.sql(STAGED).createOrReplaceTempView("staged")
    for name, query in DIMENSIONS.items():
        spark.sql(f"SELECT monotonically_increasing_id() AS key, * FROM ({query})").write.parquet(f"{workdir}/{name}")
        spark.read.parquet(f"{workdir}/{name}").createOrReplaceTempView(name)
    spark.sql(SALES).dropDuplicates(["transaction_id"]).write.parquet(f"{workdir}/sale")
    seconds = time.time() - start
    spark.read.parquet(f"{workdir}/sale").createOrReplaceTempView("sale")
    print(seconds, *spark.sql("SELECT count(*), sum(total_paid) FROM sale").first())
    local_spark.stop(spark)


main(*sys.argv[1:])
