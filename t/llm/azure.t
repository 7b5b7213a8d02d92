#!/usr/bin/perl

# Azure OpenAI: OpenAI's bytes, at its own paths and with its own key.  And
# what other servers of OpenAI's dialect differ in, as parameters.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'llm_provider dated {
                 dialect azure;
                 url http://127.0.0.1:%%PORT1%%/;
                 key_file %%DIR%%/key;
                 api_version 2024-10-21;
                 model "my deployment/1" as=dated;
                 model vectors as=dated-vectors kind=embedding;
             }
             llm_provider v1 {
                 dialect azure;
                 url http://127.0.0.1:%%PORT1%%/behind/;
                 key_file %%DIR%%/key;
                 model gpt as=v1;
                 model vectors as=v1-vectors kind=embedding;
             }
             llm_provider newer {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 max_tokens_name max_completion_tokens;
                 model m as=newer;
             }
             llm_provider aborted {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 read_timeout 10s;
                 stream_usage continuous;
                 model m as=aborted;
             }
             llm_provider older {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 max_tokens_name max_tokens;
                 stream_usage continuous;
                 model m as=older;
             }',
    server => 'location = /dated { llm_embeddings dated-vectors; }
               location = /v1-vectors { llm_embeddings v1-vectors; }');

my $hello = $Sallyport::Llm::hello;


sub chat {
    my ($model, $text, %more) = @_;
    return $t->post('/v1/chat/completions', {}, Sallyport::Llm::body($text,
                    model => $model, %more));
}

sub sent { return $p->last_request }


# -- paths and keys

my %paths = (
    dated => '/openai/deployments/my%20deployment%2F1/chat/completions'
             . '?api-version=2024-10-21',
    v1 => '/behind/openai/v1/chat/completions',
);

for my $model (sort keys %paths) {
    for my $stream (0, 1) {
        my $res = chat($model, 'hi', stream => $stream ? \1 : \0);

        is($res->{status}, 200, "$model: status") or diag($res->{body});
        is(sent()->{line}, "POST $paths{$model} HTTP/1.1", "$model: the path");
        is(sent()->{headers}{'api-key'}, 'sk-test-0123456789abcdef',
           "$model: the key");
        ok(!sent()->{headers}{authorization}, "$model: in no other header");
        is($stream ? Sallyport::Llm::parse($res->{body})->{text}
                   : $res->{json}{choices}[0]{message}{content}, $hello,
           "$model: the answer");

        # the same with OpenAI's dialect, whose bytes pass

        my $plain = chat('newer', 'hi', stream => $stream ? \1 : \0)->{body};

        s/"model":"[^"]*"/"model":"m"/g for $plain, $res->{body};
        is($res->{body}, $plain, "$model: as it came");
    }

    my $res = chat($model, 'fault status code=400 error=content_filter '
                           . 'type=t');
    is("$res->{status} $res->{json}{error}{code}", '400 content_filter',
       "$model: an error keeps its code");
}

# the first event of Azure has no choice

my $first = '{"choices":[],"created":0,"id":"","model":"","object":"",'
            . '"prompt_filter_results":[{"prompt_index":0}],"usage":null}';
my $raw = join "\n", $first, '{"choices":[{"index":0,"delta":{"content":'
          . '"Hello"},"finish_reason":"stop"}]}', '[DONE]';
my $body = chat('dated', "fault raw\n$raw", stream => \1)->{body};

is($body, join('', map { "data: $_\n\n" } split /\n/, $raw),
   'an event without a choice passes');

my $res = $t->post('/dated', {}, { input => 'x' });
is($res->{status}, 200, 'embeddings') or diag($res->{body});
is(sent()->{line}, 'POST /openai/deployments/vectors/embeddings'
                   . '?api-version=2024-10-21 HTTP/1.1', 'of a deployment');

$t->post('/v1-vectors', {}, { input => 'x' });
is(sent()->{line}, 'POST /behind/openai/v1/embeddings HTTP/1.1',
   'of the v1 API');
is(sent()->{json}{model}, 'vectors', 'with their model');


# -- how the limit of tokens is called

for my $case ([ newer => { max_tokens => 5 }, [ undef, 5 ] ],
              [ newer => { max_completion_tokens => 6 }, [ undef, 6 ] ],
              [ newer => { max_tokens => 5, max_completion_tokens => 6 },
                [ undef, 6 ] ],
              [ newer => { max_tokens => undef }, [ undef, undef ] ],
              [ older => { max_completion_tokens => 6 }, [ 6, undef ] ],
              [ older => { max_tokens => 5 }, [ 5, undef ] ],
              [ older => {}, [ undef, undef ] ],
              [ v1 => { max_completion_tokens => 6 }, [ undef, 6 ] ],
              [ v1 => { max_tokens => 5 }, [ 5, undef ] ])
{
    my ($model, $asked, $expected) = @$case;

    is(chat($model, 'hi', %$asked)->{status}, 200, "$model: taken");
    is_deeply([ @{ sent()->{json} }{qw(max_tokens max_completion_tokens)} ],
              $expected, "$model: " . join ' ', sort keys %$asked);
}


# -- usage with each event

my %continuous = (include_usage => JSON::PP::true,
                  continuous_usage_stats => JSON::PP::true);

for my $options (undef, {}, { include_usage => \0 },
                 { continuous_usage_stats => \0 })
{
    chat('older', 'hi', stream => \1,
         $options ? (stream_options => $options) : ());

    is_deeply(sent()->{json}{stream_options}, \%continuous,
              'usage with each event is asked for');
}

chat('older', 'hi');
ok(!exists sent()->{json}{stream_options}, 'not of a whole answer');

chat('newer', 'hi', stream => \1, stream_options => {
     continuous_usage_stats => \1 });
is_deeply(sent()->{json}{stream_options}, \%continuous,
          'a client may ask for it itself');

# a client that leaves has cost what was told until then

my $event = '{"choices":[{"index":0,"delta":{"content":"Hello"}}],'
            . '"usage":{"prompt_tokens":11,"completion_tokens":%d}}';
my $s = $t->stream('POST', '/v1/chat/completions', {}, Sallyport::Llm::body(
    "fault raw end=stall\n" . join("\n", map { sprintf $event, $_ } 3, 17),
    model => 'aborted', stream => \1));

ok($s->read_until(qr/Hello.*Hello/s, 5), 'usage in each event');
$s->close;

ok($t->wait_until(sub {
    (Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
        'provider="aborted",kind="chat",outcome="partial"') || 0) == 1 }, 5),
   'the client has left');
is(Sallyport::Llm::metric($t, 'sallyport_llm_tokens_total',
    'provider="aborted",kind="chat",type="completion"'), 17,
   'the last count is the one that counts');

$p->stop;
$t->finish;
done_testing;
