#!/usr/bin/perl

# Several keys of a provider: one that is refused or limited is passed over by
# all workers, for as long as it cools down; no client sees it, and no log.

use strict;
use warnings;

use POSIX qw(strftime setlocale LC_TIME);
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Provider;
use Sallyport::Test;
use Sallyport::Llm;


my %key = map { $_ => "sk-live-$_-9f3ac17be4" } qw(a b c d e);

my $t = Sallyport::Test->new(workers => 2);
my $p = Sallyport::Provider->new($t->port(1), $t->dir);

$t->file($_, "$key{$_}\n", 0600) for keys %key;

my $url = 'url http://127.0.0.1:%%PORT1%%/v1; first_byte_timeout 1s;';

$t->conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { worker_connections 256; }
http {
    %%HTTP%%
    error_format openai;

    llm_provider three {
        $url
        key_file %%DIR%%/a;
        key_file %%DIR%%/b;
        key_file %%DIR%%/c;
        model m1 as=three;
        model m2 as=other;
    }

    llm_provider brief {
        $url
        cooldown 300ms;
        key_file %%DIR%%/d;
        key_file %%DIR%%/e;
        model m3 as=brief;
    }

    llm_provider five {
        $url
        key_file %%DIR%%/a;
        key_file %%DIR%%/b;
        key_file %%DIR%%/c;
        key_file %%DIR%%/d;
        key_file %%DIR%%/e;
        model m5 as=five;
    }

    llm_provider never {
        $url
        cooldown 0;
        key_file %%DIR%%/d;
        model m4 as=never;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location = /v1/chat/completions {
            llm_tries 2;
            llm_pass three;
            add_header X-Worker \$pid always;
        }

        location = /metrics { metrics; }
        location = /ready   { health ready; }
    }
}
EOC
$t->run;


my %workers;

sub chat {
    my ($model, %opt) = @_;

    my $res = $t->post('/v1/chat/completions', {},
        Sallyport::Llm::body('hi', model => $model), \%opt);

    $workers{$res->{headers}{'x-worker'} // ''}++;
    return $res;
}

# the keys that were used since, "a b"
sub used {
    my ($before) = @_;
    my @requests = $p->requests;
    my %name = reverse %key;

    return join ' ', map { $name{($_->{headers}{authorization} =~ /(\S+)$/)[0]}
                           // '?' } @requests[$before .. $#requests];
}

sub up { return Sallyport::Llm::metric($t, 'sallyport_llm_key_up', @_) }

sub failures {
    my ($provider, $class) = @_;
    return Sallyport::Llm::metric($t, 'sallyport_llm_failures_total',
                                  qq{provider="$provider",class="$class"});
}


# -- all of them are used

chat('three') for 1 .. 60;

my %n;
$n{$_}++ for split ' ', used(0);

cmp_ok($n{$_} // 0, '>', 6, "key $_ is used") for qw(a b c);
is(up('provider="three",key="1"'), 1, 'and in order');


# -- one that is refused, by each of the statuses

my @statuses = (401, 402, 403);

for my $name (qw(a b)) {
    my $code = shift @statuses;
    my $before = $p->requests;

    $p->mood("* $key{$name}" => "status code=$code");
    %workers = ();

    my @res = map { chat('three', $_ % 2 ? () : (http2 => 1)) } 1 .. 40;

    is(scalar(grep { $_->{status} == 200 } @res), 40, "$code: no client sees");
    is(scalar(grep { $_ eq $name } split ' ', used($before)), 1,
       "$code: all workers pass the key over")
        or diag(used($before), join ' ', %workers);
    is(scalar(keys %workers), 2, "$code: both workers were asked")
        or diag(join ' ', %workers);
    $p->mood;
}

is(up("provider=\"three\",key=\"$_\""), $_ == 3 ? 1 : 0, "the gauge of key $_")
    for 1 .. 3;
is(failures('three', 'credentials'), 2, 'counted by class');
ok($t->wait_log(qr/provider "three" failed, key 1, credentials, status 401/),
   'the log has its number');


# -- a reload keeps that; another key in the file is another key

my $before = $p->requests;
$t->reload;
chat('three') for 1 .. 15;
is(used($before), join(' ', ('c') x 15), 'a reload keeps what cools down');

$t->file('a', "sk-live-f-0123456789\n", 0600);
$key{f} = 'sk-live-f-0123456789';
$t->reload;
$before = $p->requests;
chat('three') for 1 .. 30;
is_deeply([ sort keys %{ { map { $_ => 1 } split ' ', used($before) } } ],
          [ qw(c f) ], 'a key that was replaced begins anew');
is(up('provider="three",key="1"'), 1, 'and is up');


# -- nobody is left: each is tried, none is shown

$p->mood('*' => 'status code=401');
$before = $p->requests;
my $res = chat('three');

is($res->{status}, 502, 'all are refused');
is($res->{json}{error}{code}, 'provider_credentials_exhausted', 'by its code');
is($res->{headers}{'x-should-retry'}, 'false', 'not worth another try');
like(used($before), qr/^(?:[cf] ){2}b$/,
     'those that were ready, then the one that is ready first');

$before = $p->requests;
$res = chat('three', http2 => 1);
is($res->{status}, 502, 'likewise, when all of them cool down');
is(scalar(() = used($before) =~ /\w/g), 1, 'one is tried all the same');

$p->mood;
is(chat('three')->{status}, 200, 'and serves at once when it is accepted');


# -- more of them are refused than there are tries

$p->mood(map { ("* $key{$_}" => 'status code=401') } qw(b c d e));
$before = $p->requests;
is(chat('five')->{status}, 200, 'the only good one of five is found')
    for 1 .. 3;
cmp_ok(scalar(() = used($before) =~ /[bcde]/g), '<=', 4, 'each is asked once');


# -- a limit is that of a key at a model

$p->mood("m3 $key{d}" => 'status code=429 retry=20');
$before = $p->requests;
is(chat('brief')->{status}, 200, 'a limit: no client sees it') for 1 .. 12;
is(scalar(() = used($before) =~ /d/g), 1, 'one request has found it');
is(failures('brief', 'rate_limit'), 1, 'by its class');
is(up('provider="brief",key="1"'), 1, 'the key itself is in use');


# -- the time of it

for my $case ([ 'retry=7', 7, undef ], [ 'retry=1.5', 2, undef ],
              [ 'ms=1200', 2, 1200 ], [ 'ms=250.75 retry=9', 1, 250 ],
              [ 'ms=soon retry=9', 9, undef ], [ 'retry=-4', 1, undef ],
              [ 'retry=99999999999999999999', 1, undef ],
              [ 'retry=9999999', 86400, undef ], [ 'retry=', 1, undef ],
              [ 'retry=soon', 1, undef ], [ 'retry=' . '9' x 4000, 1, undef ])
{
    my ($hint, $seconds, $ms) = @$case;
    my $name = substr $hint, 0, 40;

    $p->mood("m4 $key{d}" => "status code=429 $hint");
    $res = chat('never');

    is($res->{status}, 429, "$name: answered");
    is($res->{headers}{'retry-after'}, $seconds, "$name: Retry-After");
    is($res->{headers}{'retry-after-ms'}, $ms, "$name: retry-after-ms");
}

setlocale(LC_TIME, 'C');

my $date = strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 30));
$date =~ s/ /_/g;
$p->mood("m4 $key{d}" => "status code=429 retry=$date");
my $after = chat('never')->{headers}{'retry-after'};
ok($after >= 27 && $after <= 31, 'a date') or diag($after);

for my $should (qw(true false maybe)) {
    $p->mood("m4 $key{d}" => "status code=500 should=$should");
    is(chat('never')->{headers}{'x-should-retry'},
       $should eq 'maybe' ? undef : $should, "x-should-retry: $should");
}


# -- when it is over, one asks, and the others after it has

$p->mood("* $key{e}" => 'status code=401', "m3 $key{d}" => 'status code=500');
chat('brief') for 1 .. 3;
is(up('provider="brief",key="2"'), 0, 'a refused key');

$p->mood;
ok($t->wait_until(sub { up('provider="brief",key="2"') }, 5),
   'its time is over');
$before = $p->requests;
chat('brief') for 1 .. 12;
cmp_ok(scalar(() = used($before) =~ /e/g), '>', 1, 'it is used again')
    or diag(used($before));


# -- what nginx -t says

my $block = 'llm_provider x { url http://127.0.0.1:1/; model m; %s }';

$t->file('same', "$key{b}\n", 0600);

for my $case (
    [ "key_file %%DIR%%/b; key_file %%DIR%%/same;",
      qr/same" holds the same key as "key_file" number 1 of llm_provider "x"/ ],
    [ 'max_fails 1001;', qr/"max_fails".*0 to 1000/ ],
    [ 'fail_timeout 1ms;', qr/"fail_timeout".*from 10ms to 1h/ ],
    [ 'cooldown 2h;', qr/"cooldown".*up to 1h/ ],
    [ 'total_timeout 0;', qr/"total_timeout".*above 0/ ],
    [ 'first_byte_timeout 0;', qr/"first_byte_timeout".*above 0/ ])
{
    $t->refuses($t->http_conf(sprintf $block, $case->[0]), $case->[1],
                $case->[0]);
}

my $many = '';

for my $i (1 .. 33) {
    $t->file("k$i", "sk-live-$i-5e0c77ab19\n", 0600);
    $many .= "key_file %%DIR%%/k$i; ";
}

$t->refuses($t->http_conf(sprintf $block, $many),
            qr/"x" has more than 32 "key_file"/, 'too many keys');

unlike($t->error_log, qr/sk-live/, 'no key is in a log');
unlike($t->get('/metrics')->{body}, qr/sk-live/, 'nor in a metric');

$t->finish;
done_testing;
