#!/usr/bin/perl

# Calls beside requests have the keys, the cool-downs and the breakers that
# chats have.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::Memory;


my $m = Sallyport::Memory->new(gates => 1, http => 'memory_timeout 4s;',
    files => {}, models => "
    llm_provider first {
        url http://127.0.0.1:%%PORT5%%/v1;
        key_file %%DIR%%/key;
        max_fails 2;
        fail_timeout 1h;
        model vectors as=embedding kind=embedding;
        model chats   as=beside;
    }
    llm_provider second {
        url http://127.0.0.1:%%PORT4%%/v1;
        model vectors as=embedding kind=embedding backup;
        model chats   as=beside backup;
    }");
my $t = $m->t;
my ($second, $first) = @$m{qw(model embedder)};
my $anna = $m->user(1);
my $text = 0;

$_->open for $first, $second;


# a chat whose text was not embedded so far; who was asked for the vector

sub embed {
    my @before = map { $_->requests } $first, $second;

    is($m->chat($anna, 'Text ' . ++$text)->{status}, 200, 'a chat');
    return join ' ', map { $_ == 0 ? "first:" . asked($first, $before[0])
                                   : "second:" . asked($second, $before[1]) }
                     0, 1;
}

sub asked {
    my ($gate, $before) = @_;

    my $n = 0;
    $n++ for grep { $_->{json}{model} eq 'vectors' }
             splice @{ [ $gate->asked ] }, 0, $gate->requests - $before;
    return $n;
}

sub metric { return Sallyport::Llm::metric($t, @_) }

sub restart { $t->stop; $t->run; $first->fail(0); return }

is(embed(), 'first:1 second:0', 'the first one');


# each class: what the next call does

for my $case ([ 'a key that is refused', 1, 401 ],
              [ 'a limit with a time', 1, 429, 60 ],
              [ 'a target that asks for time', 1, 503, 60 ],
              [ 'a target that fails', 2, 500 ])
{
    my ($name, $n, @fail) = @$case;

    restart();
    $first->fail(@fail);

    is(embed(), 'first:1 second:1', "$name: the next one has it") for 1 .. $n;
    is(embed(), 'first:0 second:1', "$name: is passed over");

    if ($fail[0] == 401) {
        is(metric('sallyport_llm_key_up', 'provider="first",key="1"'), 0,
           "$name: by the gauge of chats");
        is(metric('sallyport_llm_failures_total',
                  'provider="first",class="credentials"'), 1,
           "$name: counted once");
    }

    $t->reload;
    is(embed(), 'first:0 second:1', "$name: after a reload, too");
}


# a limit without a time is over in a second; the row has both tries

restart();
$first->fail(429);
embed();
$first->fail(0);
ok($t->wait_until(sub { embed() eq 'first:1 second:0' }, 10),
   'a limit is over in a while');

ok($t->wait_until(sub {
       $t->sql(q{select count(*) from gateway.ledger where kind = 'embedding'
                 and attempts @> '[{"provider": "first", "class": "rate_limit",
                                    "status": 429, "key": 1},
                                   {"provider": "second", "class": null}]'})
   }, 10), 'the ledger has both tries');


# a chat of the same provider uses what a call has found out

restart();
$first->fail(401);
embed();
$first->fail(0);

my $before = $first->requests;
ok($m->chat($anna, 'Text ' . $text, model => 'beside')->{status},
   'a chat of that provider');
is($first->requests, $before, 'its key cools down for chats, too');

$m->finish;
done_testing;
