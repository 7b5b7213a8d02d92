#!/usr/bin/perl

# The targets of the models that memory names: another one where one fails,
# whatever dialect it speaks, within one deadline.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::Memory;


my $mira = $Sallyport::Memory::mira;

my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16,
                                   Proto => 'tcp') or die $!;
my $deaf = $silent->sockport;

# "first" is asked first; {model} speaks "say" behind it, {embedder} OpenAI's
# with a key

my $m = Sallyport::Memory->new(gates => 1, extractor => 1,
    http => 'memory_timeout 4s;', models => "
    llm_provider first {
        url http://127.0.0.1:%%PORT5%%/v1;
        key_file %%DIR%%/key;
        max_fails 0;
        cooldown 0;
        model good    as=extraction;
        model vectors as=embedding kind=embedding;
    }
    llm_provider second {
        dialect say;
        url http://127.0.0.1:%%PORT4%%/;
        key_file %%DIR%%/key;
        max_fails 0;
        cooldown 0;
        model other   as=extraction backup;
        model vectors as=embedding kind=embedding backup;
    }");
my $t = $m->t;
my ($second, $first) = @$m{qw(model embedder)};
my ($anna, $bert) = map { $m->user($_) } 1, 10;
my $text = 0;

$_->open for $first, $second;

# the rows of the ledger beside chats: "kind provider model attempts tokens"

sub spent {
    my ($n) = @_;

    $t->wait_until(sub {
        $t->sql(q{select count(*) from gateway.ledger where kind <> 'chat'})
            >= $n
    });

    return map { $_->[0] } $t->sql(q{
        select concat_ws(' ', kind, provider, model,
                         jsonb_array_length(attempts), prompt_tokens)
          from gateway.ledger where kind <> 'chat' order by at, id});
}

# a chat whose text was not embedded so far: whether there was a vector

sub lexical {
    return Sallyport::Llm::metric($_[0]->t, 'sallyport_memory_lexical_total');
}

sub vector {
    my ($m) = @_;
    my $before = lexical($m);

    is($m->chat($anna, 'Text ' . ++$text)->{status}, 200, 'a chat');
    return lexical($m) == $before;
}


# embeddings

ok(vector($m), 'the first one has a vector');
is((spent(1))[0], 'embedding first vectors 1 5', 'and is paid');
my ($asked) = $first->asked;
like($asked->{head}, qr{^POST /v1/embeddings HTTP/1.1\r\n}, 'its path');
like($asked->{head}, qr{^Authorization: Bearer sk-test-\w+\r$}m, 'its key');
is_deeply($asked->{json}, { model => 'vectors', dimensions => 256,
          encoding_format => 'float', input => [ 'Text 1' ] }, 'its words');
is($second->requests, 0, 'nobody else was asked');

for my $code (500, 401, 404, 429) {
    $first->fail($code);
    my $n = spent(0);

    ok(vector($m), "$code: the next one has a vector");
    is((spent($n + 1))[$n], 'embedding second vectors 2 5',
       "$code: and is paid, the first one is not");
}

($asked) = $second->asked;
like($asked->{head}, qr{^POST /say/vectors HTTP/1.1\r\n}, 'the path of its dialect');
like($asked->{head}, qr{^X-Say-Key: sk-test-\w+\r$}m, 'its key');
is_deeply($asked->{json}, { texts => [ 'Text 5' ], length => 256 }, 'its words');

for my $code (400, 413, 422) {
    $first->fail($code);
    my $n = $second->requests;

    ok(!vector($m), "$code: the request is to blame");
    is($second->requests, $n, "$code: nobody else is asked");
}

my $n = spent(0);

$_->fail(500) for $first, $second;
ok(!vector($m), 'none has an answer: lexical');
is(scalar spent($n), $n, 'nobody is paid');
is(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
       'provider="second",kind="embedding",outcome="failed"'), 1, 'counted');
$second->fail(0);


# an extraction, in the other dialect

$m->db->store(map {
    $m->db->turn(user_id => $bert, character_id => $mira,
                 user_text => $_ ? 'Well then.' : "My \"cat\" is called T\x{f6}m.")
} 0 .. 9);

ok($t->wait_until(sub { $t->sql('select count(*) from mem.memory') }, 20),
   'memories by the other dialect');
is($t->sql('select content from mem.memory'), "My \"cat\" is called T\x{f6}m.",
   'as they were said');
is_deeply([ (spent($n + 2))[$n, $n + 1] ],
          [ 'extraction second other 2 40', 'embedding second vectors 2 5' ],
          'paid where it was answered');

($asked) = grep { $_->{json}{talk} } $second->asked;
like($asked->{head}, qr{^POST /say/other HTTP/1.1\r\n}, 'its path');
is($asked->{json}{talk}[0]{who}, 'rules', 'the prompt, in its words');
like($asked->{json}{talk}[0]{says}, qr/one JSON object .*"memories": \[/,
     'which says what to answer');
like($asked->{json}{talk}[1]{says}, qr/^day \S+\n1 user: My "cat"/,
     'and the turns');

($asked) = grep { $_->{json}{messages} } $first->asked;
is($asked->{json}{response_format}{json_schema}{name}, 'memories',
   'the first one got its schema');

$m->finish;


# TLS: the certificate is verified, by that of the provider where it has one

my $dir = tempdir(CLEANUP => 1);

for my $name ('ours', 'other') {
    my $said = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \\
        -nodes -keyout $dir/$name.key -out $dir/$name.pem -days 2 -subj /CN=x \\
        -addext subjectAltName=IP:127.0.0.1 2>&1`;

    is($?, 0, "a certificate: $name") or diag($said);
}

$m = Sallyport::Memory->new(
    files => { map { ($_ => Sallyport::Test::slurp("$dir/$_")) }
               'ours.key', 'ours.pem', 'other.pem' },
    http => 'memory_timeout 4s;
        server {
            listen 127.0.0.1:%%PORT6%% ssl;
            ssl_certificate %%DIR%%/ours.pem;
            ssl_certificate_key %%DIR%%/ours.key;
            location /v1/ { demo_model; }
        }',
    models => '
        llm_provider strange { url https://127.0.0.1:%%PORT6%%/v1;
            trusted_certificate %%DIR%%/other.pem;
            model demo-embedding as=embedding kind=embedding; }
        llm_provider trusted { url https://127.0.0.1:%%PORT6%%/v1;
            trusted_certificate %%DIR%%/ours.pem;
            model demo-embedding as=embedding kind=embedding backup; }');
$t = $m->t;
$m->user(1);

ok(vector($m), 'a vector over TLS');
like((spent(1))[0], qr/^embedding trusted demo-embedding 2 \d+$/,
     'of the one whose certificate is trusted');

$m->finish;


# one that never answers leaves the next one its share of the deadline

$m = Sallyport::Memory->new(gates => 1, http => 'memory_timeout 2s;',
    models => "
    llm_provider deaf { url http://127.0.0.1:$deaf/v1;
                        model v as=embedding kind=embedding; }
    llm_provider next { url http://127.0.0.1:%%PORT5%%/v1;
                        model v as=embedding kind=embedding backup; }");
$t = $m->t;
$m->{embedder}->open;
$m->user(1);

my $started = time;
ok(vector($m), 'a vector in time');
cmp_ok(time - $started, '<', 3.9, 'within the deadline');
is((spent(1))[0], 'embedding next v 2 5', 'by the one that answers');

$m->{embedder}->shut;
$started = time;
ok(!vector($m), 'none answers: lexical');
cmp_ok(time - $started, '<', 6, 'within the deadline');
is(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
       qq{provider="$_",kind="embedding",outcome="failed"}),
   $_ eq 'deaf' ? 2 : 1, "$_: its failures are counted") for 'deaf', 'next';

$m->finish;
done_testing;
