# The postmaster as the reaper of orphans, as PID 1 of a container is: however its workers end and their children
# are killed, it never takes a child for a server process that crashed. 035_kill_loop kills everything else.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeKill;
use TxpipeTest;

system_or_bail('prlimit', '--core=0', '--pid', $$);

my $node = new_node('container');
my %opt  = (
	seed     => 1,
	kills    => 20,
	messages => 50000,
	shares   => { 'child KILL' => 60, 'child SEGV' => 40 },
	troubles => [ 'child STOP', 'pause', 'worker TERM' ],
	wrapper  => ["$ENV{TXPIPE_TREE}/build/test/subreaper"]);
my $broker = start_broker(TxpipeKill->new(%opt)->topics);
my $loop   = TxpipeKill->new(%opt, node => $node, broker => $broker);

$loop->set_up;
my $session = $node->background_psql('postgres');
my $pid     = $session->query('SELECT pg_backend_pid()');
$loop->run;
$loop->finish;

is($loop->{lost},    0, "none of $loop->{total} messages is lost");
is($loop->{doubled}, 0, 'none is doubled or made up');
cmp_ok($loop->{done}, '>=', 20, "$loop->{done} kills of the child");
cmp_ok($loop->{met}{'worker TERM'}, '>=', 1, "$loop->{met}{'worker TERM'} workers were ended in between");
is($session->query('SELECT pg_backend_pid()'), $pid, 'an older session lives on');
$session->quit;
unlike(slurp_file($node->logfile), qr/terminating any other active server processes/, 'the server was not restarted');
$node->stop('fast');
is(join(' ', $loop->children_left), '', 'no child outlives the server');
log_is_clean($node, qr/terminating .* due to/, qr/txpipe_io/, qr/connection to client lost/);
stop_broker($broker);
done_testing();
