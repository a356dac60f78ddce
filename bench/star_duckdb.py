"""The star of bench/FileBench.pm in DuckDB, by one thread: star_duckdb.py CSV DATABASE

Prints seconds, sales, the sum paid, and what each of the five reports takes, the median in milliseconds.
"""
import statistics
import sys
import time

import duckdb

SOUND = """transaction_id IS NOT NULL AND try_cast(units AS DECIMAL(18,1)) > 0 AND try_cast(unit_price AS DECIMAL(12,2)) >= 0
    AND try_cast(transaction_date AS DATE) IS NOT NULL"""
STATEMENTS = [
    """CREATE TABLE staging AS SELECT * FROM read_csv(?, header = true, all_varchar = true, quote = '"', escape = '"',
        store_rejects = true)""",
    f"CREATE TABLE reject AS SELECT * FROM staging WHERE ({SOUND}) IS NOT TRUE",
    """CREATE TABLE product AS SELECT row_number() OVER () AS key, * FROM (SELECT DISTINCT
        product_id::DECIMAL(18,1)::BIGINT AS id, product_name AS name, product_category AS category FROM staging)""",
    """CREATE TABLE customer AS SELECT row_number() OVER () AS key, * FROM (SELECT DISTINCT customer_id::BIGINT AS id,
        customer_fname AS first, cusomter_lname AS last, regexp_extract(cusomter_email, '^.*?\\.com') AS email FROM staging)""",
    """CREATE TABLE location AS SELECT row_number() OVER () AS key, * FROM (SELECT DISTINCT
        split_part(shipping_address, '/', -3) AS city, split_part(shipping_address, '/', -2) AS state
        FROM staging WHERE shipping_address IS NOT NULL)""",
    """CREATE TABLE sale (transaction_id TEXT PRIMARY KEY, transaction_date DATE, product INT, customer INT, agent INT, branch INT,
        location INT, offer INT, units INT, unit_price DECIMAL(12,2), total_paid DECIMAL(24,4), is_online BOOLEAN,
        payment TEXT, street TEXT, postal TEXT)""",
    f"""INSERT INTO sale SELECT transaction_id, transaction_date::DATE, p.key, c.key, sales_agent_id::DECIMAL(18,1)::INT,
        branch_id::DECIMAL(18,1)::INT, l.key, o, units::DECIMAL(18,1)::INT, unit_price::DECIMAL(12,2),
        units::DECIMAL(18,1)::INT * unit_price::DECIMAL(12,2) * (100 - 5 * o) * 0.01, coalesce(is_online, '') IN ('yes', 'True'),
        payment_method, regexp_replace(shipping_address, '(/[^/]*){{3}}$', ''), split_part(shipping_address, '/', -1)
        FROM (SELECT *, CASE WHEN offer_1 = 'True' THEN 1 WHEN offer_2 = 'True' THEN 2 WHEN offer_3 = 'True' THEN 3
            WHEN offer_4 = 'True' THEN 4 WHEN offer_5 = 'True' THEN 5 ELSE 0 END AS o FROM staging WHERE {SOUND}) s
        JOIN product p ON p.id = s.product_id::DECIMAL(18,1)::BIGINT AND p.name = product_name AND p.category = product_category
        JOIN customer c ON c.id = s.customer_id::BIGINT AND c.first = customer_fname AND c.last = cusomter_lname
            AND c.email = regexp_extract(cusomter_email, '^.*?\\.com')
        LEFT JOIN location l ON l.city = split_part(shipping_address, '/', -3)
            AND l.state = split_part(shipping_address, '/', -2)
        ON CONFLICT DO NOTHING""",
    "CHECKPOINT",
]
REPORTS = [
    "SELECT id, name, sum(units), sum(total_paid) FROM sale JOIN product ON key = product GROUP BY ALL ORDER BY 3 DESC LIMIT 10",
    "SELECT offer, count(*) FROM sale WHERE offer > 0 GROUP BY ALL ORDER BY 2 DESC LIMIT 10",
    """SELECT * FROM (SELECT id, name, offer, count(*), rank() OVER (PARTITION BY id, name ORDER BY count(*) DESC) AS place
        FROM sale JOIN product ON key = product WHERE offer > 0 GROUP BY id, name, offer) WHERE place <= 10""",
    """SELECT city, state, count(*), sum(units), sum(total_paid) FROM sale JOIN location ON key = location WHERE is_online
        GROUP BY ALL ORDER BY 5 LIMIT 10""",
    """SELECT agent, name, sum(units) FROM sale JOIN product ON key = product WHERE agent IS NOT NULL
        AND transaction_date = DATE '2022-06-15' GROUP BY ALL"""]


def median_ms(db, query):
    times = []
    for _ in range(30):
        start = time.time()
        db.execute(query).fetchall()
        times.append(1000 * (time.time() - start))
    return statistics.median(times)


def main(csv, database):
    db = duckdb.connect(database, config={"threads": 1})
    start = time.time()
    for number, statement in enumerate(STATEMENTS):
        db.execute(statement, [csv] if number == 0 else None)
    seconds = time.time() - start
    print(seconds, *db.execute("SELECT count(*), sum(total_paid) FROM sale").fetchone(),
          *(median_ms(db, query) for query in REPORTS))


main(sys.argv[1], sys.argv[2])
