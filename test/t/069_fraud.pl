# The fraud monitor: what it makes, pseudonyms, its rules on labelled data, its reports.
#
# The data is that of demo/make-transactions, which works out from the definitions what is fraud; no rule reads a label.
# TXPIPE_TEST_LONG=1 takes a million accounts; TXPIPE_FRAUD_SEED another seed. Recall and false alerts are printed, and written to
# the file TXPIPE_FRAUD_FIGURES.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $partitions = 4;
my $node       = files_node('fraud');
my $broker     = start_broker("transactions:$partitions", 'other:1');
my $dir        = PostgreSQL::Test::Utils::tempdir();
my $tree       = $ENV{TXPIPE_TREE} // '.';
my $key        = join '', map { ('a' .. 'f', 0 .. 9)[ rand 16 ] } 1 .. 64;
kafka_server($node, 'shop', $broker);

sub print_figures
{
	note($_[0]);
	append_to_file($ENV{TXPIPE_FRAUD_FIGURES}, "$_[0]\n") if $ENV{TXPIPE_FRAUD_FIGURES};
	return;
}

# --- without a key there are no pseudonyms, and no monitor ---

my $error = error_of($node, q{SELECT txpipe.create_fraud_monitor('shop', 'transactions')});
is($error->{state}, '55000', 'without a key no monitor is made');
like($error->{hint}, qr/pseudonym_key_file/, '... and the hint says where it belongs');
my $key_file = secret_file("$dir/key", "$key\n");
sql("CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (pseudonym_key_file '$key_file')");
is(error_of($node, q{SELECT txpipe.create_fraud_monitor('shop', 'transactions', rules => '{"speling": {}}')})->{state}, '22023',
	'a rule it does not have is refused');
is(error_of($node, q{SELECT txpipe.create_fraud_monitor('shop', 'transactions', rules => '{"velocity": {"cuont": 3}}')})->{state},
	'22023', '... and a parameter the rule does not have');

# --- rules on labelled data ---

sql(q{CREATE EXTENSION pgcrypto});
sql(q{SELECT txpipe.create_fraud_monitor('shop', 'transactions', paused => true,
	file_pattern => '^batch/(\d+)\.csv$', options => '{"batch_rows": 5000}')});
is(sql(q{SELECT count(*), count(DISTINCT rule) FROM txpipe.alert_rule}), '11|11', 'the rules are there');
sql(q{SELECT txpipe.resume_stream('transactions')});

my $long = $ENV{TXPIPE_TEST_LONG};
my $seed = $ENV{TXPIPE_FRAUD_SEED} // 1 + int rand 1000000;
my @size = $long ? (accounts => 1000000, events => 2000000, cases => 1000, lookalikes => 200)
  : (accounts => 5000, events => 8000, cases => 40, lookalikes => 10);
my %size = @size;
print_figures("seed $seed");
open my $lines, '-|', "$tree/demo/make-transactions", (map { /\D/ ? "--$_" : $_ } @size), '--seed', $seed, '--labels', "$dir/labels"
  or die "make-transactions: $!";

# The embedded broker keeps 5 MiB of a partition: it is fed as the stream follows. One account stays in one partition.
my ($sent, @piece) = (0);
sub send_piece
{
	for my $p (0 .. $partitions - 1)
	{
		produce_lines($broker, 'transactions', $p, @{ $piece[$p] }) if $piece[$p];
	}
	wait_for_offset($node, 'transactions', $sent);
	@piece = ();
	return;
}
while (my $line = <$lines>)
{
	my ($account) = $line =~ /"account_id": "C0*(\d+)"/;

	chomp $line;
	push @{ $piece[ $account % $partitions ] }, $line;
	send_piece() if ++$sent % 20000 == 0;
}
send_piece();
ok(close $lines, 'the transactions are made') or die;
is(sql('SELECT count(*) FROM transactions'), $sent, 'every transaction is stored');
is(sql(q{SELECT count(*) FROM txpipe.dead_letter}), 0, 'none is a dead letter');

sql(<<"SQL");
CREATE TABLE label (pattern text, side text, subject text, transaction_id text);
SET client_min_messages = warning;
COPY label FROM '$dir/labels' (FORMAT csv, HEADER);
UPDATE label SET subject = encode(hmac(subject, '$key', 'sha256'), 'hex') WHERE pattern <> 'shared_device';
CREATE TABLE verdict AS SELECT pattern, count(*) FILTER (WHERE side = 'above') AS planted,
	count(*) FILTER (WHERE side = 'above' AND found) AS found, count(*) FILTER (WHERE side <> 'above') AS harmless,
	count(*) FILTER (WHERE side <> 'above' AND found) AS blamed
FROM (SELECT l.*, EXISTS (SELECT FROM txpipe.alert a WHERE a.rule = l.pattern AND a.subject = l.subject) AS found FROM label l) l GROUP BY 1;
SQL
my $verdict = sql('SELECT pattern, planted, found, round(found::numeric / planted, 4), harmless, blamed FROM verdict ORDER BY 1');
print_figures("pattern|planted|found|recall|harmless|of these with an alert\n$verdict");
my $false = sql(q{SELECT count(*), round(count(*) * 10000.0 / } . $sent . q{, 3) FROM txpipe.alert a
	WHERE NOT EXISTS (SELECT FROM label l WHERE l.side = 'above' AND l.pattern = a.rule AND l.subject = a.subject)});
print_figures("false alerts, and in 10,000 of $sent events: $false");
print_figures("rule|alerts|false\n" . sql(q{SELECT a.rule, count(*) AS alerts, count(*) FILTER (WHERE l.pattern IS NULL) AS false_alerts FROM txpipe.alert a
	LEFT JOIN label l ON l.side = 'above' AND l.pattern = a.rule AND l.subject = a.subject GROUP BY 1 ORDER BY 1}));
is(sql('SELECT count(*) FROM verdict WHERE planted > 0'), 11, 'every pattern was planted');
is(sql('SELECT string_agg(pattern, $$ $$) FROM verdict WHERE found < planted'), '', 'every planted fraud raised its alert');
is(sql('SELECT string_agg(pattern, $$ $$) FROM verdict WHERE blamed > 0'), '', 'nothing below a threshold and no look-alike did');
is(sql(q{SELECT l.pattern, l.transaction_id, (SELECT string_agg(a.transaction_id || ': ' || a.reason, ', ') FROM txpipe.alert a
	WHERE a.rule = l.pattern AND a.subject = l.subject) FROM label l
	WHERE l.side = 'above' AND NOT EXISTS (SELECT FROM txpipe.alert a WHERE a.rule = l.pattern
	AND a.subject = l.subject AND (a.transaction_id = l.transaction_id
		-- Two of the same millisecond complete it together.
		OR a.event_time = (SELECT t.event_time FROM transactions t WHERE t.transaction_id = l.transaction_id)))}), '',
	'the alert names the transaction that completed the pattern');
cmp_ok((split /\|/, $false)[1], '<', 5, 'false alerts are few');
is(sql(q{SELECT count(*) FROM txpipe.alert_rule WHERE query ~* 'fraud'}), 0, 'no rule reads a label');

# --- names: nowhere but in the messages ---

sub pseudonym { return sql("SELECT encode(hmac('$_[0]', '$key', 'sha256'), 'hex')") }
sub dump_of   { return sql("SELECT count(*) FROM $_[0] t WHERE t::text LIKE '%$_[1]%'") }

produce_lines($broker, 'other', 0,
	'{"transaction_id": "n1", "nameOrig": "Ada Löwe", "nameDest": "Bert \"B\" Uhu", "amount": 11000, "timestamp": "2024-05-01T10:00:00Z", "isFraud": "1"}',
	'{"transaction_id": "n2", "nameOrig": "Ada Löwe", "amount": "much", "timestamp": "2024-05-01T10:00:01Z"}');
sql(q{SELECT txpipe.create_fraud_monitor('shop', 'other', 'names', paused => true,
	rules => '{"amount_over_limit": {"limit": 10500, "severity": "critical", "cooldown": "1 hour"}, "profile_outlier": null, "velocity": {"enabled": false}}')});
is(sql(q{SELECT count(*), bool_and(rule LIKE 'names\_%') FROM txpipe.alert_rule WHERE stream = 'names'}), '10|t', 'a rule can be left out');
is(sql(q{SELECT severity, cooldown, enabled FROM txpipe.alert_rule WHERE rule IN ('names_amount_over_limit', 'names_velocity') ORDER BY rule}),
	"critical|01:00:00|t\nhigh|00:10:00|f", 'and changed');
my $tried = sql(q{SELECT decoded ->> 'account_id' FROM txpipe.test_stream('shop', 'other', 'names', columns =>
	(SELECT columns FROM txpipe.stream WHERE stream = 'names')) WHERE code IS NULL});
is($tried, pseudonym('Ada Löwe'), 'test_stream shows the pseudonym');
sql(q{CALL txpipe.consume('names')});
is(sql('SELECT account_id, counterparty_id, is_fraud FROM names'), join('|', pseudonym('Ada Löwe'), pseudonym('Bert "B" Uhu'), 't'),
	'names of a stream are what hmac() of pgcrypto makes of them');
is(sql(q{SELECT subject, evidence ->> 'limit' FROM txpipe.alert WHERE rule = 'names_amount_over_limit'}), pseudonym('Ada Löwe') . '|10500',
	'an alert has the pseudonym');
is(sql(q{SELECT txpipe.replay_dead_letters('names', payload => '{"transaction_id": "n2", "nameOrig": "Ada Löwe", "amount": 1, "timestamp": "2024-05-01T10:00:01Z"}',
	ids => ARRAY(SELECT dead_letter_id FROM txpipe.dead_letter WHERE stream = 'names'))}) =~ /^\(1,0,/ ? 1 : 0, 1, 'a dead letter is replayed');
is(sql(q{SELECT count(DISTINCT account_id) FROM names}), 1, '... with the same pseudonym');
is(dump_of($_, 'Ada'), 0, "no name in $_") for qw(names txpipe.alert_store names_statistics txpipe.stream_field txpipe.batch_history);
is( sql(q{BEGIN; DO $$ BEGIN PERFORM txpipe.create_fraud_monitor('shop', 'other', 'it''s "mine"', paused => true); END $$;
	SELECT col_description('"it''s ""mine""_statistics"'::regclass, 1); ROLLBACK}),
	q{Account, as in "it's ""mine"""}, 'a monitor may have any name');
is( sql(q{BEGIN; DO $$ BEGIN PERFORM txpipe.create_fraud_monitor('shop', 'other', 'idle', paused => true); END $$;
	INSERT INTO idle (transaction_id, account_id, event_time, amount) VALUES ('t', 'a', now(), 1);
	SELECT txpipe.take_fraud_report(transactions => 'idle'), (SELECT count(*) FROM idle_report); ROLLBACK}),
	'0|0', 'nothing is kept while no day with transactions is over');

# --- files of the public batch set ---

is(error_of($node, q{SELECT txpipe.create_feed('nameless', '^n/(.*)\.csv$', columns => '{"name": {"path": "name", "as": "pseudonym"}}')})->{state},
	'22023', 'a feed has to say whose key it takes');
my $batch = <<'CSV';
transactionID,step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud,timestamp
b1,1,TRANSFER,250000.00,C1231006815,250000.0,0.0,M1979787155,0.0,0.0,1,1,2023-01-01 10:00:00
b2,1,TRANSFER,181.00,C1305486145,181.0,0.0,C553264065,0.0,0.0,1,0,2023-01-01 10:05:00
b3,1,CASH_OUT,181.00,C840083671,181.0,0.0,C38997010,21182.0,0.0,1,0,2023-01-01 11:00:00
b4,1,PAYMENT,1864.28,C1666544295,21249.0,19384.72,M2044282225,0.0,0.0,0,0,2023-01-01 11:30:00
b5,1,TRANSFER,215310.30,C1670993182,705.0,0.0,C1100439041,22425.0,0.0,0,1,2023-01-01 23:59:59.5
b6,2,CASH_OUT,229133.94,C905080434,15325.0,0.0,C476402209,5083.0,51513.44,0,0,2023-01-02 00:00:00
b7,2,DEBIT,9.50,,5.0,0.0,C1,0.0,0.0,0,0,2023-01-02 00:00:00
CSV
deliver('batch/1.csv', $batch);
run_hourly();
deliver('batch/2.csv', $batch . "b8,2,PAYMENT,1.00,C1666544295,2.0,1.0,M1,0.0,0.0,0,0,2023-01-02 01:00:00\n");
run_hourly();
is(sql(q{SELECT string_agg(state || ' ' || rows_rejected, ',' ORDER BY file_id) FROM txpipe.file WHERE feed = 'transactions'}),
	'loaded_with_rejects 1,loaded_with_rejects 1', 'files are loaded; who has no name is rejected');
is(sql(q{SELECT count(*) FROM transactions WHERE transaction_id LIKE 'b%'}), 7, '... and each transaction is there once');
is(sql(q{SELECT counterparty_id FROM transactions WHERE transaction_id = 'b3'}), pseudonym('C38997010'), 'names of a file are pseudonyms, too');

# --- reports; the figures are those of the lines above, counted by hand ---

is(sql(q{SELECT * FROM txpipe.fraud_by_type('2023-01-01', '2023-01-02')}),
	"TRANSFER|3|2|0.666667|465491.30|250181.00\nCASH_OUT|2|1|0.500000|229314.94|181.00\nPAYMENT|2|0|0.000000|1865.28|0",
	'fraud by type');
is(sql(q{SELECT * FROM txpipe.fraud_statistics('2023-01-01', '2023-01-01')}),
	'5|5|3|0.600000|467536.58|250362.00|83454.00|250000.00', 'fraud statistics of a day');
is(sql(q{SELECT * FROM txpipe.flag_accuracy('2023-01-01', '2023-01-02')}), '7|2|1|1|2|3|0.571429|0.500000|0.333333',
	'accuracy of the flag');
is(sql(q{SELECT * FROM txpipe.fraud_statistics('2000-01-01', '2000-01-01')}), '0|0|0||0|0||', 'no transactions, no rates');
is(error_of($node, q{SELECT * FROM txpipe.fraud_by_type(transactions => 'label')})->{state}, '42703', 'another table is refused');
is(error_of($node, q{SET search_path = pg_catalog; SELECT * FROM txpipe.fraud_by_type()})->{state}, '42P01', '... and none');

sql(q{CREATE TABLE day AS SELECT * FROM transactions WHERE false});
sql(q{INSERT INTO day (transaction_id, account_id, event_time, amount, channel, status)
	SELECT n, CASE WHEN n <= 6 THEN 'ann' WHEN n <= 9 THEN 'bob' ELSE 'cy' END, timestamptz '2024-02-02' + CASE WHEN n <= 7 THEN interval '10:30' ELSE interval '22:59' END,
		CASE n WHEN 12 THEN 20000 ELSE n END, CASE WHEN n % 2 = 0 THEN 'ATM' ELSE 'online' END, CASE WHEN n <= 4 THEN 'Failed' ELSE 'completed' END
	FROM generate_series(1, 12) n});
is(sql(q{SELECT * FROM txpipe.fraud_report('2024-02-02', 'day', top_n => 2)}), <<'EOT' =~ s/\n\z//r, 'the report of a day');
channel|1||ATM|6|20030.00|0.666667
channel|1||online|6|36.00|0.666667
hour|1|10:00||7|28.00|
hour|2|22:00||5|20038.00|
high value|1|||1|20000.00|
top customer|1|cy||3|20021.00|
top customer|2|bob||3|24.00|
volume|1|cy|ATM|2|20010.00|
volume|1|cy|online|1|11.00|
volume|2|bob|ATM|1|8.00|
volume|2|bob|online|2|16.00|
failures|1|ann||4||0.666667
EOT
my $taken = sql(q{SELECT txpipe.take_fraud_report('2023-01-01')});
is(sql(q{SELECT txpipe.take_fraud_report('2023-01-01')}) . '|' . sql('SELECT count(*) FROM transactions_report'), "$taken|$taken",
	'a report is kept once');
is(sql(q{SELECT transactions_total, amount FROM transactions_report WHERE section = 'channel'}), '5|467536.58', '... with its figures');

# --- the key, and who gets what ---

sql(<<'SQL');
CREATE ROLE reader LOGIN;
CREATE ROLE stranger LOGIN;
GRANT SELECT ON transactions TO reader;
SQL
is(sql(q{SET ROLE reader; SELECT transactions_total FROM txpipe.fraud_statistics('2023-01-01', '2023-01-01', 'transactions')}), 5, 'readers of the table get reports');
is(error_of($node, q{SET ROLE stranger; SELECT * FROM txpipe.fraud_statistics(transactions => 'transactions')})->{state}, '42501', 'others do not');
is(error_of($node, q{SET ROLE reader; SELECT txpipe.create_fraud_monitor('shop', 'other', 'mine')})->{state}, '42501', 'nor may they make a monitor');
for my $table (split /\n/, sql(q{SELECT format('%I.%I', n.nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
	WHERE relkind IN ('r', 'v') AND nspname IN ('public', 'txpipe')}))
{
	my $found = sql("SELECT count(*) FROM $table t WHERE t::text LIKE '%$key%'");
	fail("the key is in $table") if $found;
}
unlike(slurp_file($node->logfile), qr/STATEMENT.*create_fraud_monitor.*$key|LOG.*$key/, 'the key is not in the log');
my $rotated = secret_file("$dir/key", 'another key');
produce_lines($broker, 'other', 0, '{"transaction_id": "n3", "nameOrig": "Ada Löwe", "amount": 1, "timestamp": "2024-05-02T10:00:00Z"}');
sql(q{CALL txpipe.consume('names')});
is(sql(q{SELECT account_id FROM names WHERE transaction_id = 'n3'}), sql(q{SELECT encode(hmac('Ada Löwe', 'another key', 'sha256'), 'hex')}),
	'a key that is changed in its file counts at once');
unlink $rotated;
produce_lines($broker, 'other', 0, '{"transaction_id": "n4", "nameOrig": "Ada Löwe", "amount": 1, "timestamp": "2024-05-02T10:00:00Z"}');
is(error_of($node, q{CALL txpipe.consume('names')})->{state}, '58P01', 'without its file nothing is stored in clear');
is(dump_of('names', 'Ada'), 0, '... indeed');

log_is_clean($node, qr/there is no key|has no rule|has no parameter|needs the option|069_fraud.pl.*ERROR:  /);
done_testing();
