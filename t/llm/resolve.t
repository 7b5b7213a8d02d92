#!/usr/bin/perl

# The host name of a provider: looked up while the gateway runs, its last
# addresses kept, and waited for only while there are none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Dns;
use Sallyport::Llm;
use Sallyport::Proxy;
use Test::More;


my ($dns, %at);

sub hosts {
    my ($t) = @_;

    my $port = $t->port(5);
    my $to = '127.0.0.1:' . $t->port(1);

    $at{$_} = Sallyport::Proxy->new(listen => "$_:$port", to => $to)
        for qw(127.0.0.1 127.0.0.2);

    $dns = Sallyport::Dns->new($t->dir);
    $dns->say('moves.test', { ttl => 1, addrs => ['127.0.0.1'] });

    $t->file('resolver.conf',
             'resolver 127.0.0.1:' . $dns->port . ";\n", 0644);
    $t->allow(qr/host not found|is not resolved|could not be resolved/);
    $t->allow(qr/connect\(\) failed|prematurely closed|while connecting/);
    return;
}

my $fallback = 'location = /fallback { error_page 502 = @backup; llm_pass never; }
                location @backup { llm_pass default; }';

my ($t, $p) = Sallyport::Llm::gateway(prepare => \&hosts, server => $fallback,
                                      http => <<'EOF');
include %%DIR%%/resolver.conf;
llm_provider kept {
    url http://moves.test:%%PORT5%%/v1;
    connect_timeout 1s;
    model kept;
}
llm_provider fresh {
    url http://moves.test:%%PORT5%%/v1;
    connect_timeout 1s;
    keepalive 0;
    model fresh;
}
llm_provider late {
    url http://Late.test:%%PORT5%%/v1;
    connect_timeout 2s;
    model late;
}
llm_provider never {
    url http://never.test:%%PORT5%%/v1;
    connect_timeout 1s;
    model never;
}
EOF

sub chat {
    my ($model) = @_;
    return $t->post('/v1/chat/completions', {},
                    Sallyport::Llm::body('hi', model => $model),
                    { timeout => 10 });
}

# until it happens every chat is answered

my @bad;

sub meanwhile {
    my ($happens, $name) = @_;
    @bad = ();
    ok($t->wait_until(sub {
        push @bad, grep { $_ != 200 } chat('fresh')->{status};
        return $happens->();
    }, 15), $name);
    return is("@bad", '', '.. and nothing fails meanwhile');
}

sub comes_to {
    my ($addr, $name) = @_;
    my $before = $at{$addr}->count;
    return meanwhile(sub { $at{$addr}->count > $before }, $name);
}


# -- a name that is not there

my $res = chat('never');
is($res->{status}, 502, 'a name that does not resolve is 502');
is($res->{json}{error}{code}, 'provider_unreachable', 'with a code');
unlike($res->{body}, qr/never\.test/, 'clients need not know the host');
ok($t->wait_log(qr/host "never\.test" of "llm_provider never" is not resolved/),
   'the log names it');

is($t->post('/fallback', {}, { messages => [ { role => 'user',
                                               content => 'hi' } ] })->{status},
   200, 'another provider answers in its place');
is(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
                          'provider="never",kind="chat",outcome="failed"'), 2,
   'both are counted');


# -- unknown at the start, then there: the first request waits for it

$dns->say('late.test', { ttl => 60, delay => 0.3, addrs => ['127.0.0.1'] });
is(chat('late')->{status}, 200, 'the first request waits for the answer');
is($dns->count('late.test'), 1, 'one question, with the name in lower case');
is($p->last_request->{headers}{host}, 'Late.test:' . $t->port(5),
   'the provider is called as the url has it');


# -- it moves, and the old address still answers

is(chat($_)->{status}, 200, "$_: by its name") for qw(kept fresh);
$dns->say('moves.test', { ttl => 1, addrs => ['127.0.0.2'] });
comes_to('127.0.0.2', 'after the TTL the new address, without a reload');


# -- streams keep the set that they began with; it goes when they end

my $s = $t->stream('POST', '/v1/chat/completions', {},
                   Sallyport::Llm::body('fault slow delay=700 words=12',
                                        model => 'fresh', stream => \1));
ok($s->read_until(qr/data: /, 5), 'a stream begins');
$dns->say('moves.test', { ttl => 1, addrs => ['127.0.0.1'] });
comes_to('127.0.0.1', 'the name moves under a stream');
ok($s->read_until(qr/\[DONE\]/, 15), '.. which ends well');
$s->close;
is(chat('fresh')->{status}, 200, '.. and the next is served');


# -- the old address is dead

$dns->say('moves.test', { ttl => 1, addrs => ['127.0.0.2'] });
$at{'127.0.0.1'}->mode('refuse');
$at{'127.0.0.1'}->drop;
ok($t->wait_until(sub { chat('kept')->{status} == 200 }, 10),
   'the address dies, the name has moved');
ok($t->wait_until(sub { chat('fresh')->{status} == 200 }, 10), '.. the same');


# -- two addresses, one of them dead: nothing was sent to it

$at{'127.0.0.1'}->mode('pass');
$dns->say('moves.test', { ttl => 1, addrs => [qw(127.0.0.1 127.0.0.2)] });
comes_to('127.0.0.1', 'a second address is used as well');
undef $at{'127.0.0.2'};
my $asked = $dns->count('moves.test');
meanwhile(sub { $dns->count('moves.test') > $asked },
          'the first one goes: nobody listens there');


# -- nobody knows the name any more

for my $mode (qw(nx garbage cut silent)) {
    $dns->say('moves.test', { mode => $mode });
    $asked = $dns->count('moves.test');
    meanwhile(sub { $dns->count('moves.test') > $asked },
              "asked, the answer is $mode: the last addresses serve");
}

$p->stop;
$t->finish;
done_testing;
