#!/usr/bin/perl

# The name of a provider's host is looked up while the gateway runs: it may
# move, it may be away when the gateway starts, it may have two addresses.

use strict;
use warnings;

use File::Temp;
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Dns;
use Sallyport::Llm;
use Sallyport::Proxy;
use Sallyport::Test;


my $dir = File::Temp->newdir;
my $dns = Sallyport::Dns->new("$dir");

$dns->say('model.test', { ttl => 1, addrs => ['127.0.0.1'] });

my ($t, $p) = Sallyport::Llm::gateway(http => <<"EOC");
    resolver 127.0.0.1:@{[ $dns->port ]};

    llm_provider named {
        url http://model.test:%%PORT5%%/v1;
        key_file %%DIR%%/key;
        connect_timeout 300ms;
        read_timeout 2s;
        model m as=named;
        model m as=sure;
    }
    llm_provider late {
        url http://late.test:%%PORT5%%/v1;
        key_file %%DIR%%/key;
        connect_timeout 300ms;
        model m as=late;
    }
EOC

$t->allow(qr/host not found|is not resolved|could not be resolved/);

my %at = map { ($_ => Sallyport::Proxy->new(listen => "$_:" . $t->port(5),
                   to => '127.0.0.1:' . $t->port(1))) }
         qw(127.0.0.1 127.0.0.2);

sub chat {
    my ($model) = @_;
    return $t->post('/v1/chat/completions', {},
                    Sallyport::Llm::body('hi', model => $model));
}

sub answers {
    my ($model, $name) = @_;
    my $res;

    ok($t->wait_until(sub { ($res = chat($model))->{status} == 200 }, 10),
       $name) or diag($res->{status}, $res->{body});
    return;
}

answers('named', 'a provider by its name');
cmp_ok($at{'127.0.0.1'}->count, '>', 0, 'at its address');
is($at{'127.0.0.2'}->count, 0, 'and no other');

my ($got) = $p->last_request;
is($got->{headers}{host}, 'model.test:' . $t->port(5), 'Host is the name');

# it moves

$dns->say('model.test', { ttl => 1, addrs => ['127.0.0.2'] });
$at{'127.0.0.1'}->mode('refuse');
$at{'127.0.0.1'}->drop;
answers('named', 'it has moved: found without a reload');
cmp_ok($at{'127.0.0.2'}->count, '>', 0, 'at the new address');

# its name is gone, the last address serves, for every request

for my $mode (qw(nx silent garbage)) {
    $dns->say('model.test', { mode => $mode });
    is(chat('named')->{status}, 200,
       "the resolver is $mode: the last address") for 1 .. 3;
}

# two addresses, one of them refuses

$dns->say('model.test', { ttl => 1, addrs => [qw(127.0.0.1 127.0.0.2)] });
$at{'127.0.0.2'}->drop;
ok($t->wait_until(sub { chat('named'); $at{'127.0.0.1'}->count > 1 }, 10),
   'a second address is asked');
answers('named', 'the other one answers');

# unknown at the start

my $res = chat('late');
is($res->{status}, 502, 'a name that is not there');
is($res->{json}{error}{code}, 'provider_unreachable', 'is unreachable');

$dns->say('late.test', { ttl => 60, addrs => ['127.0.0.2'] });
answers('late', 'it appears: found without a reload');

# addresses change while streams are under way: they end as they began

$_->mode('pass') for values %at;

my @streams = map {
    $t->stream('POST', '/v1/chat/completions', {},
        Sallyport::Llm::body('fault slow delay=150', model => 'named',
                             stream => \1))
} 1 .. 4;

$_->read_until(qr/data: /) for @streams;

for my $last (1, 2, 1) {
    $dns->say('model.test', { ttl => 1, addrs => ["127.0.0.$last"] });
    my $before = $dns->count('model.test');
    $t->wait_until(sub { chat('named');
                         $dns->count('model.test') > $before }, 5);
}

is(scalar(grep { $_->rest =~ /\[DONE\]/ } @streams), 4,
   'streams end as they began while the name moves on');

$t->finish;
done_testing;
