# The postmaster as the reaper of orphans, as PID 1 of a container is: however its workers end and their children
# are killed, it never takes a child for a server process that crashed. 035_kill_loop kills everything else.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeKill;
use TxpipeTest;

my %opt = (
	TxpipeKill::parameters(seed => 1, kills => 20),
	shares   => { 'child KILL' => 60, 'child SEGV' => 40 },
	troubles => [ 'child STOP', 'pause', 'worker TERM' ],
	wrapper  => ["$ENV{TXPIPE_TREE}/build/test/subreaper"]);
my $node   = new_node('container');
my $broker = start_broker(TxpipeKill->new(%opt)->topics);
my $loop   = TxpipeKill->new(%opt, node => $node, broker => { %$broker, name => 'embedded' });

$loop->set_up;
my $session = $node->background_psql('postgres');
my $pid     = $session->query('SELECT pg_backend_pid()');
$loop->prove(
	sub {
		cmp_ok($loop->{met}{'worker TERM'}, '>=', 1, "$loop->{met}{'worker TERM'} workers were ended in between");
		is($session->query('SELECT pg_backend_pid()'), $pid, 'an older session lives on');
		$session->quit;
	});
unlike(slurp_file($node->logfile), qr/terminating any other active server processes/, 'the server was not restarted');
stop_broker($broker);
done_testing();
