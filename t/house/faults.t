#!/usr/bin/perl

# docs/faults.md names a test for each complaint, and has a row for each case
# of the fault suite.

use strict;
use warnings;

use FindBin;
use Test::More;


my $top = "$FindBin::Bin/../..";


sub slurp {
    my ($file) = @_;

    open my $fh, '<:encoding(UTF-8)', "$top/$file" or return;
    return do { local $/; <$fh> };
}


my $doc = slurp('docs/faults.md');
my (@bad, $n);

while ($doc =~ /^\| (.*?) \| (t\/\S+) \| (.*?) \|$/mg) {
    my ($what, $file, $name) = ($1, $2, $3);
    my $text = slurp($file);

    push @bad, !defined $text ? "$what: there is no $file"
                              : "$what: $file has no \"$name\""
        unless defined $text && $text =~ /['"`][^'"`\n]*?\Q$name\E/;
    $n++;
}

is_deeply(\@bad, [], ($n || 0) . ' complaints, and the test of each');
cmp_ok($n, '>=', 35, 'all of them');

my @cases = slurp('t/faults/cases.mjs') =~ /^    \['([a-z0-9-]+)',/mg;
my %row = map { $_ => 1 } $doc =~ /^\| `([a-z][a-z0-9-]+)` \|/mg;

is_deeply([ sort @cases ], [ sort keys %row ], 'each case has a row');
is_deeply([ grep { /^\| `[a-z]/ && !/^\| `\S+` \| [^|]* \| pass/ }
            split /\n/, $doc ], [], 'and passes here');

done_testing;
