# TxpipeCitus: servers with Citus, of which one is the coordinator of a database and the others are its workers.
package TxpipeCitus;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(has_citus start_with_citus share_out);

# Has the server that is tested Citus?
sub has_citus
{
	my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
	return -e "$sharedir/extension/citus.control";
}

# Starts a server that was just made; preload: other libraries, behind that of Citus.
sub start_with_citus
{
	my ($node, @preload) = @_;

	$node->append_conf('postgresql.conf', sprintf <<'CONF', join(',', 'citus', @preload), $node->host);
shared_preload_libraries = '%s'
max_prepared_transactions = 50
citus.enable_statistics_collection = off
citus.node_conninfo = 'sslmode=disable'
citus.shard_count = 8
citus.local_hostname = '%s'
CONF
	$node->start;
	return;
}

# Makes the first server the coordinator of a database that all of them have, and the others its workers.
sub share_out
{
	my ($db, $coordinator, @workers) = @_;

	$_->safe_psql($db, 'CREATE EXTENSION citus') foreach $coordinator, @workers;
	$coordinator->safe_psql($db, sprintf q{SELECT citus_set_coordinator_host('%s', %d)}, $coordinator->host, $coordinator->port);
	$coordinator->safe_psql($db, sprintf q{SELECT citus_add_node('%s', %d)}, $_->host, $_->port) foreach @workers;
	return;
}

1;
