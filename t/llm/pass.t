#!/usr/bin/perl

# llm_pass: what goes to the provider, and what comes back from it.

use strict;
use warnings;
use utf8;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my ($t, $p) = Sallyport::Llm::gateway(
    server => 'location = /hidden { llm_pass hidden; }');


for my $http2 (0, 1) {
    my $name = $http2 ? 'HTTP/2' : 'HTTP/1.1';
    my $opt = { http2 => $http2 };
    my $post = sub {
        $t->post('/v1/chat/completions',
                 { Authorization => 'Bearer client-secret',
                   Cookie => 'session=1', 'X-Forwarded-For' => '1.2.3.4' },
                 Sallyport::Llm::body(@_), $opt);
    };

    # -- a whole answer

    my $res = $post->('hi', temperature => 0.7, seed => 3);

    is($res->{status}, 200, "$name: non-stream");
    is($res->{headers}{'content-type'}, 'application/json',
       "$name: its type");
    is($res->{json}{choices}[0]{message}{content}, $Sallyport::Llm::hello,
       "$name: the answer");
    is($res->{json}{usage}{prompt_tokens}, 11, "$name: its usage");

    ok(!exists $res->{headers}{$_}, "$name: no $_ of the provider's")
        for qw(set-cookie x-accel-redirect x-ratelimit-remaining-tokens);
    isnt($res->{headers}{'x-request-id'}, 'theirs', "$name: our request id");

    my $seen = $p->last_request;

    is($seen->{line}, 'POST /v1/chat/completions HTTP/1.1',
       "$name: the provider's path");
    is($seen->{json}{model}, 'real-model', "$name: the provider's model");
    is($seen->{json}{temperature}, 0.7, "$name: other members pass");
    is($seen->{json}{seed}, 3, "$name: with their types");
    is($seen->{headers}{authorization}, 'Bearer sk-test-0123456789abcdef',
       "$name: our key");
    is($seen->{headers}{host}, '127.0.0.1:' . $t->port(1), "$name: Host");
    is($seen->{headers}{'accept-encoding'}, 'identity',
       "$name: nothing compressed");
    is_deeply([ sort keys %{ $seen->{headers} } ],
              [ qw(accept accept-encoding authorization content-length
                   content-type host user-agent) ],
              "$name: nothing of the client's header");
    ok(!exists $seen->{json}{stream_options},
       "$name: no stream options without a stream");

    # -- a stream

    $res = $post->('hi', stream => \1);

    is($res->{status}, 200, "$name: stream");
    is($res->{headers}{'content-type'}, 'text/event-stream',
       "$name: its type");
    is($res->{headers}{'cache-control'}, 'no-cache', "$name: not cached");
    is($res->{headers}{'x-accel-buffering'}, 'no', "$name: not buffered");
    ok(!exists $res->{headers}{'content-length'}, "$name: no length");

    my $out = Sallyport::Llm::parse($res->{body});

    is($out->{text}, $Sallyport::Llm::hello, "$name: its text");
    is($out->{finish}, 'stop', "$name: its finish reason");
    is($out->{done}, 1, "$name: one [DONE]");
    ok(!$out->{error}, "$name: no error");
    is($out->{usage}, undef, "$name: usage that was not asked for is hidden");
    like($res->{body}, qr/\n\ndata: \[DONE\]\n\n\z/, "$name: its end");

    is_deeply($p->last_request->{json}{stream_options},
              { include_usage => $JSON::PP::true }, "$name: but we ask");

    # -- usage asked for, other stream options kept

    $res = $post->('hi', stream => \1, stream_options =>
                   { include_usage => \1, include_obfuscation => \0 });
    $out = Sallyport::Llm::parse($res->{body});

    is($out->{usage}{completion_tokens}, 5, "$name: usage on request");
    is_deeply($p->last_request->{json}{stream_options},
              { include_usage => $JSON::PP::true,
                include_obfuscation => $JSON::PP::false },
              "$name: merged into the client's options");

    $res = $post->('hi', stream => \1, stream_options => {});
    is(Sallyport::Llm::parse($res->{body})->{usage}, undef,
       "$name: empty options do not ask");
    ok($p->last_request->{json}{stream_options}{include_usage},
       "$name: and we still do");

    # -- extensions stay here, foreign metadata passes

    $post->('hi', metadata => { memory => 'off', mine => '1' });
    is_deeply($p->last_request->{json}{metadata}, { mine => '1' },
              "$name: our extensions are taken out");

    $post->('hi', metadata => { memory => 'off' });
    ok(!exists $p->last_request->{json}{metadata},
       "$name: and empty metadata with them");

    # -- parts

    my @parts = ({ type => 'text', text => 'look' },
                 { type => 'image_url', image_url => { url => 'https://x/' } });

    $post->('', messages => [ { role => 'user', content => \@parts } ]);
    is_deeply($p->last_request->{json}{messages}[0]{content}, \@parts,
              "$name: image parts pass");

    # -- a request without a model gets the location's

    $t->post('/v1/chat/completions', {}, { messages => [
        { role => 'user', content => 'hi' } ] }, $opt);
    is($p->last_request->{json}{model}, 'real-model',
       "$name: no model means that of llm_pass");

    # -- another model by its alias

    $post->('hi', model => 'small');
    is($p->last_request->{json}{model}, 'real-small', "$name: an alias");
}


# -- bytes are passed on as they came

my $mine = $t->post('/v1/chat/completions', {}, Sallyport::Llm::body('hi',
    stream => \1, stream_options => { include_usage => \1 }))->{body};

my $theirs = $t->request('POST', '/v1/chat/completions', {
    'Content-Type' => 'application/json' }, $Sallyport::Llm::json->encode(
    { model => 'real-model', stream => \1, messages => [
        { role => 'user', content => 'hi' } ],
      stream_options => { include_usage => \1 } }),
    { port => $t->port(1) })->{body};

is($mine, $theirs, 'a stream is passed on byte for byte');


# -- events arrive as they are sent, not in lumps

my $s = $t->stream('POST', '/v1/chat/completions', {},
                   Sallyport::Llm::body('fault slow words=3 delay=300', stream => \1));

ok($s->read_until(qr/w1 .*\n\n/, 5), 'the first word is there');
ok(!defined $s->read_until(qr/w3/, 0.1), 'before the last one was sent');
like($s->rest(5), qr/w3.*\[DONE\]\n\n\z/s, 'the rest follows');
ok($s->{complete}, 'with a proper end');
$s->close;


# -- connections to the provider are used again

my %conns = map { $_->{conn} => 1 } $p->requests;
my @all = $p->requests;

cmp_ok(scalar keys %conns, '<=', 4, scalar(@all) . ' requests over '
       . keys(%conns) . ' connections');


# -- embeddings, models

my $res = $t->post('/v1/embeddings', {}, { model => 'embedding',
                                           input => 'x', dimensions => 2 });

is($res->{status}, 200, 'embeddings');
is_deeply($res->{json}{data}[0]{embedding}, [ 0.5, -0.5 ], 'the vector');
is($p->last_request->{line}, 'POST /v1/embeddings HTTP/1.1', 'their path');
is($p->last_request->{json}{model}, 'real-embed', 'their model');
is($p->last_request->{json}{dimensions}, 2, 'their options');

is($t->post('/v1/embeddings', {}, { model => 'embedding' })->{status}, 400,
   'embeddings need an input');

for my $case (
    [ 'a model that is a number', { model => 7, input => 'x' }, 400,
      'model_invalid' ],
    [ 'a model without a name', { model => '', input => 'x' }, 400,
      'model_invalid' ],
    [ 'a model with a long name', { model => 'm' x 257, input => 'x' }, 400,
      'model_invalid' ],
    [ 'another model', { model => 'm' x 256, input => 'x' }, 404,
      'model_not_found' ],
    [ 'a model for chats', { model => 'small', input => 'x' }, 404,
      'model_not_found' ],
    [ 'an array', [ 'x' ], 400, 'request_not_object' ],
) {
    my ($name, $body, $status, $code) = @$case;

    $res = $t->post('/v1/embeddings', {}, $body);
    is("$res->{status} $res->{json}{error}{code}", "$status $code",
       "embeddings: $name");
}

for my $model ('embedding', 'hidden') {
    $res = $t->post('/v1/chat/completions', {}, { model => $model,
        messages => [ { role => 'user', content => 'hi' } ] });
    is("$res->{status} $res->{json}{error}{code}", '404 model_not_found',
       "a model that clients have no chats with: $model");
}

$res = $t->post('/hidden', {}, {
    messages => [ { role => 'user', content => 'hi' } ] });
is($res->{status}, 200, 'a location may have an internal one');
is($p->last_request->{json}{model}, 'real-hidden', 'and answers by it');

$res = $t->get('/v1/models');

is_deeply([ map { $_->{id} } @{ $res->{json}{data} } ],
          [ 'default', 'small', 'embedding' ], 'models are the aliases');
is($res->{json}{data}[0]{owned_by}, 'fake', 'owned by the provider');
is($t->post('/v1/models', {}, {})->{status}, 405, 'models take GET');

unlike($t->error_log, qr/sk-test|client-secret/, 'no key in the log');

$t->finish;
done_testing;
