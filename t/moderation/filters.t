#!/usr/bin/perl

# Two stream filters on one answer, moderation and prompt_canary: what each
# holds back, edits and refuses.  And what becomes of bytes that are held when
# the client leaves, the gateway reloads, or a worker dies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Llm;
use Test::More;

my $json = $Sallyport::Llm::json;

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'moderation_rules %%DIR%%/test.rules;
             pg_server main "%%PG%%" timeout=2s;
             prompt_canary main http://127.0.0.1:9/;
             log_format turn "$status $error_code";
             access_log %%DIR%%/logs/turns.log turn;',
    location => 'moderation output;', read_timeout => '30s',
    prepare => sub {
        $_[0]->pg;
        $_[0]->file('test.rules', <<'EOR');
[o.block category=abuse severity=4]
zebra
purple monkey
[o.mask category=profanity action=mask]
secret
canary
not a can
EOR
    });

ask('hello', 0);

my ($word) = $json->encode($p->last_request->{json}) =~ /(canary-\d+)/;
ok($word, 'the word of the canary');

my $part = substr $word, 0, -1;

for my $case ([ "a secret $word", 'a ****** ', 1 ],
              [ "$word secret", '', 1 ],
              [ "a zebra $word", 'a ', 1 ],
              [ "a $word zebra", 'a ', 1 ],
              [ "a $part zebra", 'a ******' . substr($part, 6) . ' ', 1 ],
              [ "$part secret", '******' . substr($part, 6) . ' ******' ],
              [ 'canary-canary-', '******-******-' ],
              [ 'not a canary', 'not a ******' ],
              [ 'not a can, ary', '*********, ary' ],
              [ "not a can $word", '********* ', 1 ],
              [ "not a $word", 'not a ', 1 ],
              [ "purple $word monkey", 'purple ', 1 ],
              [ 'purple canary', 'purple ******' ],
              [ 'purple monkey', '', 1 ])
{
    my ($said, $read, $refused) = @$case;
    my $finish = $refused ? 'content_filter' : 'stop';
    my $name = $said =~ s/\d{3,}/N/r;
    my $choice = ask($said, 0)->{json}{choices}[0];

    is($choice->{message}{content} // '', $read, "$name: whole");
    is($choice->{finish_reason}, $finish, "$name: how it ends");

    for my $size (1 .. 7, 30) {
        my $stream = Sallyport::Llm::parse(ask($said, $size)->{body});

        is($stream->{text}, $read, "$name: by $size");
        is($stream->{finish}, $finish, "$name: by $size: how it ends");
    }
}


# -- the client leaves while bytes are held

for my $abrupt (0, 1) {
    my ($s, $n) = start('end=stall', 'well, purple mon');

    $s->close(abrupt => $abrupt);
    ok($p->wait_event('closed', $n), 'the provider is left, too');
}


# -- a reload meanwhile: the old worker has the text to its end

my ($s) = start('delay=300', 'well, purple', ' mon', 'key business');

$t->reload;

my $rest = $s->read_until(qr/\[DONE\]/, 10);

ok(defined $rest, 'a stream goes on through a reload');
is_deeply([ $rest =~ /"(?:content|finish_reason)":"([^"]*)"/g ],
          [ 'content_filter' ], 'and so does what is held');
$s->close;


# -- after a blocked answer the next one is judged anew

for my $said ('a zebra', 'a secret', 'bra', 'zebra', 'ze') {
    my $stream = Sallyport::Llm::parse(ask($said, 2)->{body});

    is($stream->{text}, { 'a zebra' => 'a ', 'a secret' => 'a ******',
                          zebra => '' }->{$said} // $said, "$said, again");
}


# -- a worker dies with bytes held

($s) = start('end=stall', 'well, purple mon');
kill 'KILL', $t->workers;
unlike($s->rest(5), qr/pur/, 'what was held was never sent');
$s->close;

ok($t->wait_until(sub { (eval { ask('x', 1)->{status} } || 0) == 200 }, 10),
   'another one serves');
is(Sallyport::Llm::parse(ask('a secret', 1)->{body})->{text}, 'a ******',
   'and judges');

$t->allow(qr/exited on signal 9/);
$p->stop;
$t->finish;
done_testing;


sub ask {
    my ($text, $size) = @_;

    return $t->post('/v1/chat/completions', {},
        { %{ Sallyport::Llm::body("fault echo size=$size\n$text") },
          $size ? (stream => \1) : () });
}


# a stream of these pieces, when its first bytes are here; number of request

sub start {
    my ($opt, @pieces) = @_;

    my $s = $t->stream('POST', '/v1/chat/completions', {},
        { %{ Sallyport::Llm::body(join "\n", "fault raw $opt",
             (map { $json->encode({ choices => [ { index => 0,
                    delta => { content => $_ } } ] }) } @pieces),
             $opt =~ /stall/ ? () : '[DONE]') },
          stream => \1 });

    ok($s->read_until(qr/well, /, 5), 'a stream has begun');

    return ($s, $p->last_request->{n});
}
