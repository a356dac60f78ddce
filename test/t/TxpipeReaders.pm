# TxpipeReaders: readers of Parquet that are not ours: pyarrow and DuckDB.
#
# A test file that uses it is skipped, with the reason, where test/readers/get could not get them.
package TxpipeReaders;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use TxpipeTest qw(need_fetched);

our @EXPORT = qw(need_readers read_parquet);

my $home = $ENV{TXPIPE_READERS} // '';
my $tree = $ENV{TXPIPE_TREE}    // '.';

# Skips the whole file where they are not.
sub need_readers { return need_fetched('TXPIPE_READERS', 'python', 'readers'); }

# What test/readers/read.py says, without the last line end: WHAT, ENGINE, DATASET, QUERY.
sub read_parquet
{
	my (@args) = @_;
	my ($out, $errors);

	local $ENV{PYTHONPATH} = "$home/python";
	IPC::Run::run [ '/usr/bin/python3', "$tree/test/readers/read.py", @args ], '>', \$out, '2>', \$errors
	  or die "read.py @args: $errors";
	chomp $out;
	return $out;
}

1;
