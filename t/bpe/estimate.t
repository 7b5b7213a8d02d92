#!/usr/bin/perl

# How far off the estimate is where no vocabulary is known: texts that it was
# not calibrated on, in 17 languages, chat and code, against both encodings.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Basename qw(basename);
use Sallyport::Bpe;
use Test::More;


my $bpe = Sallyport::Bpe->new or plan skip_all => Sallyport::Bpe->missing;

my @texts = sort glob "$FindBin::Bin/sample/*.txt";
my (%mean, %tokens);

cmp_ok(scalar @texts, '>=', 10, 'texts');

for my $encoding (qw(o200k_base cl100k_base)) {
    my ($program, $file) = ($bpe->program, $bpe->vocabulary($encoding));
    my $out = `'$program' '$file' $encoding @texts`;

    is($?, 0, "$encoding: counted");

    my ($n, $sum, $signed) = (0, 0, 0);

    while ($out =~ m{(\w+)\.txt: .* (\d+) tokens .* estimated (\d+)$}mg) {
        my ($name, $tokens, $estimate) = ($1, $2, $3);
        my $off = 100 * ($estimate / $tokens - 1);

        cmp_ok(abs $off, '<=', 20, sprintf '%s, %s: %d tokens, %+.1f %%',
               $encoding, $name, $tokens, $off);

        $n++;
        $sum += abs $off;
        $signed += $off;
    }

    is($n, scalar @texts, "$encoding: all texts");
    cmp_ok($sum / $n, '<=', 8, sprintf '%s: %.1f %% off on average',
           $encoding, $sum / $n);
    cmp_ok(abs $signed / $n, '<=', 5, sprintf '%s: %+.1f %% altogether',
           $encoding, $signed / $n);
}

done_testing;
