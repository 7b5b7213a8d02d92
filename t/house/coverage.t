#!/usr/bin/perl

# t/coverage.tsv says of each row of the source documents whether it works,
# and which test shows it.  What it says is checked: the ids are all there,
# the files exist, and each has a test of that name.

use strict;
use warnings;

use FindBin;
use Test::More;


my $top = "$FindBin::Bin/../..";

# how many rows each document has, and the list of what they had missed
my %rows = (NC => 62, CC => 52, AN => 101, SU => 174, TC => 103, M => 13);

my @status = qw(works partial missing none-needed);

my (%seen, %count, %text, @bad);

open my $table, '<:encoding(UTF-8)', "$top/t/coverage.tsv" or die "$!\n";

while (<$table>) {
    chomp;
    next if /^#/;

    my $line = "line $.:";

    my ($id, $status, $file, $test, $missing, $more) = split /\t/, $_, -1;

    if (!defined $missing || defined $more) {
        push @bad, "$line five columns are expected";
        next;
    }

    push @bad, "$line $id is there twice" if $seen{$id}++;
    push @bad, "$line \"$status\" is none of @status"
        unless grep { $_ eq $status } @status;

    push @bad, "$line $id works, and no test shows it"
        if $status eq 'works' && $file eq '-';
    push @bad, "$line $id is $status, and names a test"
        if $status =~ /^(?:missing|none-needed)$/ && $file ne '-';
    push @bad, "$line $id is partial, and nothing is missing"
        if $status eq 'partial' && $missing eq '-';

    $count{$status}++;

    next if $file eq '-';

    $text{$file} = slurp("$top/$file") unless exists $text{$file};

    push @bad, !defined $text{$file} ? "$line there is no $file"
             : length $test < 10     ? "$line \"$test\" is too short"
             : "$line $file has no \"$test\""
        unless defined $text{$file} && length $test >= 10
               && $text{$file} =~ /['"`][^'"`\n]*?\Q$test\E/;
}

is(join("\n", @bad), '', 'each line is true');

for my $document (sort keys %rows) {
    my @missing = grep { !$seen{$_} }
        map { sprintf '%s-%02d', $document, $_ } 1 .. $rows{$document};

    is("@missing", '', "$document: all of its $rows{$document} rows");
    delete @seen{map { sprintf '%s-%02d', $document, $_ }
                     1 .. $rows{$document}};
}

is(join(' ', sort keys %seen), '', 'and no other');

note(join ', ', map { ($count{$_} || 0) . " $_" } @status);

done_testing;


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or return;
    local $/;
    return scalar <$in>;
}
