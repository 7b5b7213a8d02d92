#!/usr/bin/perl

# sp_bpe says what gpt-tokenizer says, id by id: thousands of made-up strings
# of many scripts, both encodings.  SP_LONG=1 makes more of them, anew.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Bpe;
use Test::More;


my $bpe = Sallyport::Bpe->new or plan skip_all => Sallyport::Bpe->missing;

my $n = $ENV{SP_LONG} ? 100_000 : 5_000;
my $seed = $ENV{SP_LONG} ? time : 7;

for my $encoding (qw(o200k_base cl100k_base)) {
    my $out = $bpe->node('oracle.mjs', $bpe->program, $encoding,
                         $bpe->vocabulary($encoding), $n, $seed);

    like($out, qr/^$n of $n the same/m, "$encoding, seed $seed")
        or diag($out);
    note($out);
}

done_testing;
