#!/usr/bin/perl

# A model with several targets: where one fails the next one is asked, of
# another dialect or not, as long as nothing was said to the client.

use strict;
use warnings;
use utf8;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);


my $head = 'url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;'
         . ' connect_timeout 500ms; read_timeout 700ms;'
         . ' max_fails 0; cooldown 0;';

my ($t, $p) = Sallyport::Llm::gateway(http => <<"EOC", server => <<'EOS');
    llm_provider one   { $head model first as=pair; model first as=weighted weight=3;
                         model first as=failing; model first as=three; }
    llm_provider two   { dialect say; $head model second as=pair backup;
                         model second as=three; }
    llm_provider three { $head model third as=weighted; model third as=failing;
                         model third as=three backup; model third as=dead backup; }
    llm_provider calm  { url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
                         read_timeout 30s; max_fails 0; cooldown 0;
                         model first as=image; model first as=patient;
                         model third as=image backup;
                         model third as=patient backup; }
    llm_provider down  { url http://127.0.0.1:%%PORT2%%; connect_timeout 300ms;
                         model m as=dead; }
    llm_provider nowhere { url http://no.such.host.invalid; model m as=dead; }
    pg_server main "%%PG%%";
    turn_store main flush=10ms;
    turn_spool %%DIR%%/spool;
EOC
    location = /small { llm_pass default; llm_message_limit 3; }
EOS

my $hello = $Sallyport::Llm::hello;

sub chat {
    my ($model, $text, $stream, $opt) = @_;

    my $res = $t->post('/v1/chat/completions', {}, Sallyport::Llm::body($text,
        model => $model, $stream ? (stream => \1) : ()), $opt);

    return { %$res, %{ Sallyport::Llm::parse($res->{body}) } }
        if $stream && $res->{status} == 200;
    return { %$res, text => $res->{json}{choices}[0]{message}{content} // '',
             code => $res->{json}{error}{code} // '' };
}

# who was asked, in order
sub asked {
    my ($before) = @_;
    my @requests = $p->requests;
    return join ' ', map { $_->{json}{model} // ($_->{line} =~ m{/say/(\w+)})[0] }
        @requests[$before .. $#requests];
}

for my $stream (0, 1) {
    for my $opt ({}, { http2 => 1 }) {
        my $how = ($stream ? 'stream' : 'whole')
                . ($opt->{http2} ? ', HTTP/2' : '');

        for my $fault ('status code=500', 'status code=503 retry=7',
                       'status code=529', 'status code=502',
                       'status code=401', 'status code=403',
                       'status code=404', 'status code=408',
                       'status code=429 retry=9', 'status code=500 chunked=1',
                       'type', 'gzip', 'header', 'stall at=accept',
                       'stall at=header', 'cut at=header')
        {
            my $before = $p->requests;
            my $res = chat('pair', "fault $fault model=first", $stream, $opt);

            is($res->{status}, 200, "$how, $fault: answered");
            is($res->{text}, $hello, "$how, $fault: by the other one");
            is(asked($before), 'first second', "$how, $fault: in order");
            is($res->{headers}{'retry-after'}, undef,
               "$how, $fault: nothing of the first one is left");
        }

        my $before = $p->requests;
        my $res = chat('dead', 'hi', $stream, $opt);

        is($res->{text}, $hello, "$how: one is down, one has no address");
        is(asked($before), 'third', "$how: the backup");
    }
}

# of a stream the first event tells, in whatever pieces it comes

for my $fault ('error at=0', 'garbage at=0') {
    for my $opt ({}, { http2 => 1 }) {
        my $before = $p->requests;
        my $res = chat('pair', "fault $fault model=first", 1, $opt);

        is($res->{text}, $hello, "$fault: by the other one");
        is(asked($before), 'first second', 'in order');
        is($res->{done}, 1, 'properly');
    }
}

# .. and of a whole answer all of it

for my $opt ({}, { http2 => 1 }) {
    my $before = $p->requests;
    my $res = chat('pair', 'fault error model=first', 0, $opt);

    is($res->{text}, $hello, 'status 200 and an error: by the other one');
    is(asked($before), 'first second', 'in order');
}

for my $fault ('bytes', 'close', 'slow', 'none words=20000') {
    my $before = $p->requests;
    my $res = chat('pair', "fault $fault model=first", 0);

    like($res->{text}, $fault =~ /words/ ? qr/w20000 $/ : qr/^\Q$hello\E$/,
         "$fault, whole: is an answer");
    is(asked($before), 'first', 'nobody else is asked');
}

for my $fault ('bytes', 'comments', 'interim', 'slow', 'close', 'length',
               'bytes chunks=1')
{
    my $before = $p->requests;
    my $res = chat('pair', "fault $fault model=first", 1);

    is($res->{text}, $hello, "$fault: is an answer");
    is(asked($before), 'first', 'nobody else is asked');
}

# a fault of the client's is answered by whoever found it

for my $code (400, 413, 422) {
    my $before = $p->requests;
    my $res = chat('pair', "fault status code=$code model=first", 0);

    isnt($res->{status}, 200, "$code is the client's own");
    is(asked($before), 'first', 'nobody else is asked');
}

# what was said cannot be taken back

for my $fault ('cut at=mid', 'short finish=0', 'garbage', 'error',
                'stall at=mid') {
    my $before = $p->requests;
    my $res = chat('pair', "fault $fault model=first", 1);

    ok($res->{error}, "$fault: an error event");
    is($res->{done}, 0, 'and no [DONE]');
    is(asked($before), 'first', 'nobody else is asked');
}

# nobody is left: the last one's words

my $res = chat('failing', 'fault status code=429 retry=9', 0);
is($res->{status}, 429, 'all of them refuse');
is($res->{code}, 'provider_rate_limited', 'said once');
is($res->{headers}{'retry-after'}, 9, 'with the time to come back');

$res = chat('failing', 'fault stall at=accept', 0);
is($res->{status}, 504, 'all of them stand still');

# three of them, the first two fail

my $before = $p->requests;
$res = chat('three', 'fault status code=500 model=first', 1);
is($res->{text}, $hello, 'one of three fails');

# who leaves is answered by nobody else

$before = $p->requests;
my $s = $t->stream('POST', '/v1/chat/completions', {}, Sallyport::Llm::body(
    'fault stall at=accept model=first', model => 'patient'));
ok($t->wait_until(sub { $p->requests > $before }, 5), 'the first one stalls');
$s->close;
ok($p->wait_event('closed', ($p->last_request)->{n}), 'the client leaves');
is(chat('patient', 'hi', 0)->{status}, 200, 'another one comes');
is(asked($before), 'first first', 'no other target was asked for it');

# a healthy one is asked alone; by weight

$before = $p->requests;
is(chat('pair', 'hi', 1)->{text}, $hello, 'nothing fails') for 1 .. 5;
is(asked($before), join(' ', ('first') x 5), 'the backup is not asked');

$before = $p->requests;
chat('weighted', 'hi', 0) for 1 .. 200;
my $first = () = asked($before) =~ /first/g;
cmp_ok(abs($first - 150), '<', 35, 'three of four go to the weight of 3')
    or diag($first);

# what is kept of it

ok($t->wait_until(sub {
       $t->sql("select count(*) from gateway.ledger where jsonb_array_length(attempts) = 2
                 and provider = 'two' and outcome = 'complete'") >= 60
   }), 'the ledger has the one that answered, and how many were asked')
    or diag(map { "@$_\n" } $t->sql('select provider, jsonb_array_length(attempts), outcome,
        count(*) from gateway.ledger group by 1, 2, 3'));

cmp_ok(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
           'provider="one",kind="chat",outcome="failed"'), '>=', 60,
       'failures are counted by provider');
is(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
       'provider="two",kind="chat",outcome="failed"'), 0, 'and only there');

# the listing names an alias once

my @ids = map { $_->{id} } @{ $t->get('/v1/models')->{json}{data} };
is(join(' ', sort grep { $_ eq 'pair' } @ids), 'pair', 'listed once');

# what is long is sent again as it was; the fake reads JSON a byte at a time,
# for longer than the others wait

my $image = 'data:image/png;base64,' . 'iVBORw0K' x 20_000;

for my $opt ({}, { http2 => 1 }) {
    $before = $p->requests;
    $res = $t->post('/v1/chat/completions', {}, Sallyport::Llm::body('',
        model => 'image', messages => [ { role => 'user', content => [
            { type => 'image_url', image_url => { url => $image } } ] },
            { role => 'user', content => 'fault status code=500 model=first' }
        ]),
        $opt);
    is($res->{status}, 200, 'an image: the other one answers');
    is(asked($before), 'first third', 'in order');

    my @sent = map { $_->{json}{messages}[0]{content}[0]{image_url}{url} }
               ($p->requests)[$before, $before + 1];
    ok($sent[0] eq $image && $sent[1] eq $image, 'both got all of it');
}

$t->finish;
done_testing;
