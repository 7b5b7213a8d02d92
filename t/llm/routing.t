#!/usr/bin/perl

# How often and how long a request is tried, what is said when it was not
# answered, and what the ledger knows of each try.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;


# it listens, and takes nothing: the queue is full

my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1,
                                 Proto => 'tcp') or die $!;
my $port = $deaf->sockport;
my @queue = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port",
                                        Blocking => 0) } 1 .. 4;

my $url = 'url http://127.0.0.1:%%PORT1%%/v1; max_fails 0; cooldown 0;';

my ($t, $p) = Sallyport::Llm::gateway(read_timeout => '5s', http => <<"EOC",
    llm_provider one   { $url key_file %%DIR%%/key; key_file %%DIR%%/key2;
                         first_byte_timeout 400ms; read_timeout 500ms; total_timeout 2s;
                         model first as=pair; model first as=many;
                         model only as=only; }
    llm_provider two   { $url first_byte_timeout 400ms;
                         model second as=pair backup; model second as=many backup;
                         model other as=many backup; model third as=many backup;
                         model fourth as=many backup; }
    llm_provider slow  { $url first_byte_timeout 5s; total_timeout 700ms;
                         model slow as=slow; }
    llm_provider deaf  { url http://127.0.0.1:$port/v1; connect_timeout 300ms;
                         max_fails 0; model deaf as=deaf; model deaf as=unheard; }
    llm_provider last  { $url model answers as=unheard backup; }
    llm_provider 'o"dd' { $url model 'mo\\\\d"el' as=odd; }
    pg_server main "%%PG%%";
    turn_store main flush=10ms;
    turn_spool %%DIR%%/spool;
EOC
    server => <<'EOS', prepare => sub { $_[0]->file('key2', "sk-live-second-99a31c\n", 0600) });
    location = /two    { llm_tries 2; llm_pass many; }
    location = /ten    { llm_tries 10; llm_pass many; }
    location = /hasty  { llm_retry_within 100ms; llm_pass pair; }
    location = /short  { llm_timeout 600ms; llm_pass pair; }
    location = /brief  { llm_timeout 600ms; llm_pass slow; }
    location = /limit  { llm_message_limit 5; llm_pass pair; }
    location = /page   { error_page 502 = @page; llm_pass only; }
    location @page     { llm_pass pair; }
EOS

sub chat {
    my ($path, $text, %more) = @_;

    my $opt = delete $more{opt};
    my $start = time;
    my $res = $t->post($path || '/v1/chat/completions', {},
                       Sallyport::Llm::body($text, %more), $opt);

    $res->{took} = time - $start;
    $res->{code} = $res->{json}{error}{code} // '';
    $res->{out} = Sallyport::Llm::parse($res->{body}) if $more{stream};
    return $res;
}

sub asked {
    my ($before) = @_;
    my @requests = $p->requests;
    return join ' ', map { $_->{json}{model} } @requests[$before .. $#requests];
}

# the row of the newest turn, [{provider, ...}, ...]
my $rows = 0;

sub row {
    $rows++;

    ok($t->wait_until(sub { $t->sql('select count(*) from gateway.ledger')
                            >= $rows }), 'a row') or return {};

    my ($row) = $t->sql(q{select attempts, outcome, status, provider, model,
        prompt_tokens, completion_tokens from gateway.ledger
        order by at desc, id desc limit 1});

    my %row;
    @row{qw(attempts outcome status provider model prompt completion)} = @$row;
    $row{attempts} = $Sallyport::Llm::json->decode($row{attempts});
    return \%row;
}

# "provider key status class"
sub tries {
    my ($row) = @_;
    return join ', ', map { join ' ', $_->{provider}, map { $_ // '-' }
                            @$_{qw(key status class)} } @{ $row->{attempts} };
}


# -- a row for each request, a try in it for each

my $res = chat('', 'hi', model => 'only');
my $row = row();
my $try = $row->{attempts}[0];

like(tries($row), qr/^one [12] 200 -$/, 'one that is answered');
is_deeply([ sort keys %$try ],
          [ sort qw(provider model key status class first_byte_ms total_ms
                    prompt_tokens completion_tokens) ], 'what is known of it');
is($try->{prompt_tokens}, $row->{prompt}, 'its tokens are those of the row');
is($try->{model}, 'only', 'the model is the provider\'s');

my $before = $p->requests;

$p->mood(first => 'status code=500');
$res = chat('', 'hi', model => 'pair', stream => \1);
$row = row();
is($res->{out}{done}, 1, 'one that another target answers');
like(tries($row), qr/^one [12] 500 server_error, two - 200 -$/, 'both are told');
is($row->{provider}, 'two', 'the row is of who has answered');
is($row->{outcome}, 'complete', 'and is complete');
is($row->{attempts}[0]{first_byte_ms}, undef, 'the first gave no answer');
is($row->{attempts}[0]{completion_tokens}, undef, 'and no tokens');
is($row->{attempts}[1]{completion_tokens}, $row->{completion},
   'what is paid is paid once');

$p->mood(first => 'status code=401');
chat('', 'hi', model => 'pair');
$row = row();
like(tries($row), qr/^one [12] 401 credentials, one [12] 401 credentials, two - 200 -$/,
     'each key of a target, then the next one');
isnt($row->{attempts}[0]{key}, $row->{attempts}[1]{key}, 'another key');

$p->mood;
$p->mood(only => 'status code=500');
$res = $t->post('/page', {}, { messages => [ { role => 'user',
                                               content => 'hi' } ] });
is($res->{status}, 200, 'an error_page leads to another model');
like(tries(row()), qr/^one [12] 500 server_error, one [12] 200 -$/,
     'what was tried before it is told, too');


# -- each timeout, by its name

for my $case (
    [ 'slow', 'stall at=accept', 0, 'provider_total_timeout', 'total_timeout' ],
    [ 'slow', 'stall at=mid', 1, 'provider_total_timeout', 'total_timeout' ],
    [ 'only', 'stall at=accept', 0, 'provider_timeout', 'first_byte_timeout' ],
    [ 'only', 'stall at=mid', 1, 'provider_read_timeout', 'read_timeout' ],
    [ 'only', 'slow words=100 delay=60', 1, 'provider_total_timeout',
      'total_timeout' ],
    [ 'deaf', '', 0, 'provider_connect_timeout', 'connect_timeout' ])
{
    my ($model, $fault, $begins, $code, $class) = @$case;
    my $name = "$model, $fault";

    for my $http2 (0, 1) {
        $p->mood($model => $fault);
        $res = chat('', 'hi', model => $model, stream => \1,
                    opt => { http2 => $http2 });
        $row = row();

        is($begins ? $res->{out}{error}{code} : $res->{code}, $code,
           "$name: $code");
        is($res->{status}, $begins ? 200 : 504, "$name: status");
        is($res->{out}{done}, 0, "$name: no [DONE]");
        is($row->{attempts}[0]{class}, $class, "$name: $class");
        is($row->{outcome}, 'failed', "$name: failed");
    }
}

is(chat('', 'hi', model => 'unheard')->{status}, 200,
   'who cannot be reached in time is not waited for');
like(tries(row()), qr/^deaf - - connect_timeout, last - 200 -$/, 'and told');


# -- names that need quoting

$p->mood;
is(chat('', 'hi', model => 'odd')->{status}, 200, 'odd names');
$row = row();
is($row->{attempts}[0]{provider}, 'o"dd', 'a provider, in the row');
is($row->{attempts}[0]{model}, 'mo\\d"el', 'a model');
like($t->get('/metrics')->{body}, qr/^sallyport_llm_target_up\{provider="o\\"dd",model="mo\\\\d\\"el"\} 1$/m,
     'in a label');


# -- how often

$p->mood(map { $_ => 'status code=500' } qw(first second other third fourth));

for my $case ([ '/two', 2 ], [ '/v1/chat/completions', 4 ], [ '/ten', 5 ]) {
    my ($path, $n) = @$case;

    $before = $p->requests;
    $res = chat($path, 'hi', model => 'many');
    is($res->{status}, 502, "$path: nobody answers");
    is(scalar(split ' ', asked($before)), $n, "$path: $n tries");
    is(scalar(@{ row()->{attempts} }), $n, "$path: told");
}


# -- how long

$p->mood(first => 'stall at=accept');
$before = $p->requests;
$res = chat('/hasty', 'hi', model => 'pair');
is($res->{code}, 'provider_timeout', 'a failure that took long');
is(asked($before), 'first', 'nobody else is asked');
is(row()->{status}, 504, 'it is answered');

$p->mood(first => 'status code=500');
$before = $p->requests;
is(chat('/hasty', 'hi', model => 'pair')->{status}, 200, 'one that did not');
is(asked($before), 'first second', 'is made good');
row();

$p->mood(first => 'stall at=accept', second => 'stall at=accept');
$before = $p->requests;
$res = chat('/short', 'hi', model => 'pair');
is($res->{code}, 'request_deadline_exceeded', 'the deadline of all tries');
is($res->{status}, 504, 'its status');
cmp_ok($res->{took}, '<', 2, 'in time');
is(asked($before), 'first second', 'both were asked');
like(tries(row()), qr/first_byte_timeout, two - - total_timeout$/, 'told');

$p->mood(slow => 'slow words=100 delay=50');
$res = chat('/brief', 'hi', model => 'slow', stream => \1);
is($res->{out}{error}{code}, 'request_deadline_exceeded', 'also of a stream');
like($res->{out}{text}, qr/^w1 /, 'what was said is said');
is(row()->{attempts}[0]{class}, 'total_timeout', 'told');

$p->mood(slow => 'stall at=mid');
$res = chat('/brief', 'hi', model => 'slow');
is("$res->{status} $res->{code}", '504 request_deadline_exceeded',
   'and of a whole answer');
is(row()->{attempts}[0]{class}, 'total_timeout', 'told');


# -- the client leaves

for my $at ('accept', 'header', 'mid') {
    $p->mood(only => "stall at=$at");
    $before = $p->requests;

    my $s = $t->stream('POST', '/v1/chat/completions', {},
        Sallyport::Llm::body('hi', model => 'only', stream => \1));

    ok($t->wait_until(sub { $p->requests > $before }, 5), "$at: asked");
    $s->read_until(qr/Hello/, 5) if $at eq 'mid';
    $s->close;
    $row = row();
    is($row->{attempts}[0]{class}, 'client_closed', "$at: the client left");
    is(scalar @{ $row->{attempts} }, 1, "$at: nobody else is asked");
}


# -- the gateway's own refusal goes nowhere

$p->mood;
$before = $p->requests;
is(chat('/limit', 'much too long', model => 'pair')->{status}, 400, 'refused');
is(chat('/v1/chat/completions', 'hi', model => 'none')->{status}, 404,
   'no such model');
is(asked($before), '', 'by nobody else');


# -- what nginx -t says

for my $case ([ 'llm_tries 0;', qr/"llm_tries".*1 to 64/ ],
              [ 'llm_tries 65;', qr/"llm_tries".*1 to 64/ ],
              [ 'llm_retry_within 0;', qr/"llm_retry_within".*1ms to 24h/ ],
              [ 'llm_timeout 25h;', qr/"llm_timeout".*1ms to 24h/ ])
{
    $t->refuses($t->http_conf($case->[0]), $case->[1], $case->[0]);
}

ok($t->wait_until(sub { $t->sql('select count(*) from gateway.ledger')
                        == $rows + 2 }), 'a row for each request, and no other');
is($t->sql(q{select count(*) from gateway.ledger
             where outcome = 'refused' and attempts = '[]'}), 2,
   'what was refused was not tried');
is($t->sql(q{select count(*) from gateway.ledger where error is not null}), 0,
   'each could be stored');

$t->finish;
done_testing;
