#!/usr/bin/perl

# What was right alone, together: targets of several dialects behind one
# alias, keepalives, chunks cut anywhere, output filters, who leaves.

use strict;
use warnings;
use utf8;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);


my $head = 'url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;'
         . ' connect_timeout 500ms; read_timeout 900ms;'
         . ' max_fails 0; cooldown 0;';

my ($t, $p) = Sallyport::Llm::gateway(
    prepare => sub { $_[0]->file('test.rules',
        "[o.block category=abuse severity=4]\nforbidden\n") },
    http => <<"EOC", server => <<'EOS');
    moderation_rules %%DIR%%/test.rules;
    llm_provider one    { $head model first as=pair; model first as=third;
                          model first as=strict; model first as=narrow;
                          model big as=wide backup; model big as=room backup; }
    llm_provider claude { dialect anthropic; $head max_tokens 500;
                          model second as=third backup;
                          model second as=strict backup;
                          model second as=early; }
    llm_provider two    { $head model third as=pair backup;
                          model third as=early backup; }
    llm_provider small  { $head model little as=wide context=100;
                          model little as=narrow backup context=100;
                          model little as=tight context=100; }
    llm_provider cool   { url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
                          read_timeout 30s; max_fails 1; fail_timeout 60s;
                          model limited as=cool; model failing as=closed; }
    llm_provider warm   { $head model spare as=cool backup;
                          model spare as=closed backup; }
    pg_server main "%%PG%%";
    turn_store main flush=10ms;
    turn_spool %%DIR%%/spool;
EOC
    location = /ping   { llm_keepalive 60ms; llm_pass default; }
    location = /filter { llm_keepalive 60ms; moderation output;
                         llm_pass default; }
    location = /v1/messages { error_format anthropic;
                              llm_pass default dialect=anthropic; }
EOS

my $hello = $Sallyport::Llm::hello;
my @http = ({}, { http2 => 1 });
my $asked = 0;          # requests with a row in the ledger


sub chat {
    my ($path, $model, $text, %more) = @_;

    my $opt = delete $more{opt};
    my $res = $t->post($path || '/v1/chat/completions', {},
                       Sallyport::Llm::body($text, model => $model, %more),
                       $opt);

    $asked++;
    $res->{pings} = () = $res->{body} =~ /^: ping$/mg;

    my $out = Sallyport::Llm::parse($res->{body} =~ s/^: ping\n//gmr);

    return { %$res, %$out } if $more{stream} && $res->{status} == 200;
    return { %$res, text => $res->{json}{choices}[0]{message}{content} // '',
             code => $res->{json}{error}{code} // '' };
}

sub asked {
    my ($before) = @_;
    my @requests = $p->requests;
    return join ' ', map { $_->{json}{model} } @requests[$before .. $#requests];
}


# -- chunks end where they like: within the first event, within an error

for my $size (1, 7, 20, 64, 200) {
    for my $opt (@http) {
        for my $stream (0, 1) {
            my $how = "$size bytes" . ($stream ? ', stream' : '')
                    . ($opt->{http2} ? ', HTTP/2' : '');
            my $before = $p->requests;
            my $res = chat('', 'pair', "fault split chunks=$size model=first",
                           $stream ? (stream => \1) : (), opt => $opt);

            is($res->{text}, $hello, "$how: answered");
            is(asked($before), 'first', "$how: by the first");

            $before = $p->requests;
            $res = chat('', 'pair', "fault error at=0 chunks=$size model=first",
                        $stream ? (stream => \1) : (), opt => $opt);

            is($res->{text}, $hello, "$how: an error is seen");
            is(asked($before), 'first third', "$how: and the other one asked");
        }
    }
}


# -- a target that cannot take a request is passed over

for my $opt (@http) {
    for my $stream (0, 1) {
        my $how = ($stream ? 'stream' : 'whole')
                . ($opt->{http2} ? ', HTTP/2' : '');
        my @more = ($stream ? (stream => \1) : (), opt => $opt);

        my $before = $p->requests;
        my $res = chat('', 'early', 'hi', seed => 7, @more);

        is($res->{text}, $hello, "$how: another dialect has no word for it");
        is(asked($before), 'third', "$how: so the next one is asked");

        $before = $p->requests;
        $res = chat('', 'wide', 'some words ' x 60, @more);

        is($res->{text}, $hello, "$how: too long for the first");
        is(asked($before), 'big', "$how: there is room in the other one");

        # the first has failed, and nobody else can

        $before = $p->requests;
        $res = chat('', 'strict', 'fault status code=429 retry=9',
                    seed => 7, @more);

        is($res->{status}, 502, "$how: one fails, one cannot");
        is($res->{json}{error}{code}, 'provider_failed', "$how: the code");
        ok(!defined $res->{json}{error}{param},
           "$how: it is no fault of the client's");
        is(asked($before), 'first', "$how: one was asked");

        $before = $p->requests;
        $res = chat('/ping', 'strict', 'fault status code=500 after=250',
                    seed => 7, stream => \1, opt => $opt);

        is($res->{status}, 200, "$how: after a ping");
        cmp_ok($res->{pings}, '>', 0, "$how: which there was");
        is($res->{error}{code}, 'provider_failed', "$how: an event");
        is($res->{done}, 0, "$how: and no [DONE]");

        $res = chat('', 'narrow', 'fault status code=500 ' . 'words ' x 90,
                    @more);
        is("$res->{status} $res->{json}{error}{code}", '502 provider_failed',
           "$how: one fails, the other one is too small");
    }
}

my $res = chat('', 'tight', 'some words ' x 80);
is("$res->{status} $res->{json}{error}{code}", '400 context_length_exceeded',
   'the only one: refused');


# -- pings, a failure, another dialect, an output filter

for my $path ('/ping', '/filter') {
    for my $opt (@http) {
        for my $fault ('status code=500', 'status code=429 retry=1', 'type',
                       'gzip', 'error at=0', 'garbage at=0', 'cut at=header',
                       'stall at=header')
        {
            my $how = "$path, $fault" . ($opt->{http2} ? ', HTTP/2' : '');
            my $before = $p->requests;

            $res = chat($path, 'third', "fault $fault model=first after=250",
                        stream => \1, opt => $opt);

            cmp_ok($res->{pings}, '>', 0, "$how: pings");
            is($res->{text}, $hello, "$how: the other one answers");
            is($res->{done}, 1, "$how: to the end");
            is($res->{broken}, undef, "$how: whole events");
            is(asked($before), 'first second', "$how: in order");
        }
    }
}


# -- who was asked before a target began to cool down says nothing about it

for my $case ([ 'cool', 'limited', 'status code=429 retry=60' ],
              [ 'closed', 'failing', 'status code=500' ])
{
    my ($alias, $model, $fault) = @$case;
    my $before = $p->requests;
    my $late = $t->stream('POST', '/v1/chat/completions', {},
        Sallyport::Llm::body('fault late after=1500', model => $alias,
                             stream => \1));

    $asked++;
    ok($t->wait_until(sub { $p->requests > $before }, 5),
       "$alias: one is asked");

    $res = chat('', $alias, "fault $fault model=$model");
    is($res->{text}, $hello, "$alias: a second one is answered");
    is(asked($before), "$model $model spare", "$alias: by the other");

    ok($late->read_until(qr/\[DONE\]/, 10), "$alias: the late answer");

    $before = $p->requests;
    is(chat('', $alias, 'hi')->{text}, $hello, "$alias: the next one");
    is(asked($before), 'spare', "$alias: does not go where none may");
}


# -- all of it has a row

ok($t->wait_until(sub {
       $t->sql('select count(*) from gateway.ledger') >= $asked }, 10),
   'a row for each request');

is(scalar $t->sql(q{select count(*) from gateway.ledger where outcome = 'complete'
              and jsonb_array_length(attempts) = 2 and provider = 'claude'}),
   2 * 2 * 8, 'the one that answered is told');

is(scalar $t->sql(q{select count(*) from gateway.ledger, jsonb_array_elements(attempts) a
              where a->>'class' = 'gateway'}),
   0, 'nothing is blamed on the gateway');

$t->finish;
done_testing;
