#!/usr/bin/perl

# The contract of stream filters, by two that edit (t/modules/filter_probe):
# what they hold, replace and refuse, also where their edits overlap.  A stream
# says what the whole answer says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Llm;
use Test::More;

my ($t, $p) = Sallyport::Llm::gateway(
    location => 'test_filter on; llm_message_limit 100000;',
    server => 'location = /off { llm_pass default; }');

for my $case ([ 'plain text' ],
              [ '<a>', '{angle}' ],
              [ '(a)', '' ],
              [ 'x <a> y (b) z', 'x {angle} y  z' ],
              [ '<a><b>', '{angle}{angle}' ],
              [ '<>()', '{angle}' ],
              [ "<\n\">", '{angle}' ],
              [ '<a(b)c>d', '{angle}d' ],
              [ '(a<b>c)d', 'd' ],
              [ '<a(b>c)d', '{angle}d' ],
              [ '(a<b)c>d', '{angle}d' ],
              [ 'a <b', 'a <b' ],
              [ 'a (b <c> d', 'a (b {angle} d' ],
              [ 'a <b!>', 'a ', 'content_filter' ],
              [ 'a (b) <c!>', 'a  ', 'content_filter' ],
              [ 'a (b <c!> d)', 'a ', 'content_filter' ],
              [ 'a (b <c!', 'a ', 'content_filter' ],
              [ 'a! (b!)', 'a! ' ],
              [ 'x' x 3000 . '<' . 'y' x 3000 . '>z', 'x' x 3000 . '{angle}z' ],
              [ '<a>b' x 500, '{angle}b' x 500 ])
{
    my ($said, $read, $finish) = @$case;
    my $name = substr $said, 0, 16;

    $read = $said unless defined $read;
    same($said, $name, { text => $read, finish => $finish || 'stop' },
         length $said > 100 ? (7, 900) : (1 .. 5));
}

srand 17;

for my $round (1 .. 60) {
    my $said = join '', map { ('<', '>', '(', ')', 'ab', 'c', ' ',
                               $round % 4 ? () : '!')[rand 7 + !($round % 4)] }
                        1 .. 5 + rand 40;

    $said =~ s/^\s+//;
    same("x$said", "round $round", ask("x$said", 0), 1, 2, 1 + int rand 20);
}


# -- where they are not wanted

is(ask('a <b>', 0, '/off')->{text}, 'a <b>', 'off');


# -- what a filter holds for ever

my $long = ask('a <' . 'b' x 70000 . '> c', 1000);
is_deeply($long, { text => 'a ', finish => 'content_filter' },
          'a text that is held for ever ends there');
like($t->error_log, qr/holds back more than 65536 bytes/, 'and it is told');



# -- filters and end hooks of one rank come by their names

my %order;

for my $line ($t->error_log =~ /order: (\w+ \w+)/g) {
    my ($what, $name) = split ' ', $line;
    push @{ $order{$what} }, $name;
}

is(join(' ', @{ $order{$_} }[0 .. 3]), 'alpha beta alpha beta',
   "$_: by rank, then by name") for qw(filter end);

$p->stop;
$t->finish;
done_testing;


sub same {
    my ($said, $name, $expected, @sizes) = @_;

    for my $size (0, @sizes) {
        is_deeply(ask($said, $size), $expected,
                  $size ? "$name: by $size" : "$name: whole") or diag($said);
    }
}


sub ask {
    my ($text, $size, $path) = @_;

    my $res = $t->post($path || '/v1/chat/completions', {},
        { %{ Sallyport::Llm::body("fault echo size=$size\n$text") },
          $size ? (stream => \1) : () });

    if ($size) {
        my $stream = Sallyport::Llm::parse($res->{body});
        return { map { $_ => $stream->{$_} } 'text', 'finish' };
    }

    my $choice = $res->{json}{choices}[0];

    return { text => $choice->{message}{content} // '',
             finish => $choice->{finish_reason} };
}
