"""The star of bench/FileBench.pm in DuckDB: star_duckdb.py CSV DATABASE prints seconds, sales and the sum paid."""
import sys
import time

import duckdb

STATEMENTS = [
    """CREATE TABLE staging AS SELECT * FROM read_csv(?, header = true, all_varchar = true, quote = '"', escape = '"')""",
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
    """INSERT INTO sale SELECT transaction_id, transaction_date::DATE, p.key, c.key, sales_agent_id::DECIMAL(18,1)::INT,
        branch_id::DECIMAL(18,1)::INT, l.key, o, units::DECIMAL(18,1)::INT, unit_price::DECIMAL(12,2),
        units::DECIMAL(18,1)::INT * unit_price::DECIMAL(12,2) * (100 - 5 * o) * 0.01, coalesce(is_online, '') IN ('yes', 'True'),
        payment_method, regexp_replace(shipping_address, '(/[^/]*){3}$', ''), split_part(shipping_address, '/', -1)
        FROM (SELECT *, CASE WHEN offer_1 = 'True' THEN 1 WHEN offer_2 = 'True' THEN 2 WHEN offer_3 = 'True' THEN 3
            WHEN offer_4 = 'True' THEN 4 WHEN offer_5 = 'True' THEN 5 ELSE 0 END AS o FROM staging) s
        JOIN product p ON p.id = s.product_id::DECIMAL(18,1)::BIGINT AND p.name = product_name AND p.category = product_category
        JOIN customer c ON c.id = s.customer_id::BIGINT AND c.first = customer_fname AND c.last = cusomter_lname
            AND c.email = regexp_extract(cusomter_email, '^.*?\\.com')
        LEFT JOIN location l ON l.city = split_part(shipping_address, '/', -3)
            AND l.state = split_part(shipping_address, '/', -2)
        ON CONFLICT DO NOTHING""",
    "CHECKPOINT",
]


def main(csv, database):
    db = duckdb.connect(database)
    start = time.time()
    for number, statement in enumerate(STATEMENTS):
        db.execute(statement, [csv] if number == 0 else None)
    seconds = time.time() - start
    print(seconds, *db.execute("SELECT count(*), sum(total_paid) FROM sale").fetchone())


main(sys.argv[1], sys.argv[2])
