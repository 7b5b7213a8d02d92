#!/usr/bin/perl

# Client and provider with dialects of their own: OpenAI's, and one of
# t/modules/dialect_probe that is nothing like it.  Each answer says the same,
# whoever gives it to whom.

use strict;
use warnings;
use utf8;

use Encode ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $conf = 'llm_provider sayer {
                dialect say;
                url http://127.0.0.1:%%PORT1%%/v1;
                key_file %%DIR%%/key;
                read_timeout 1s;
                model great-sayer as=sayer;
                model say-embed as=vectors kind=embedding;
            }
            llm_provider down { dialect say; url http://127.0.0.1:%%PORT2%%;
                                model m as=down; }';

my ($t, $p) = Sallyport::Llm::gateway(http => $conf, server => '
    location = /say { error_format say;
                      llm_pass default dialect=say;
                      llm_message_limit 40; }
    location = /fallback { error_page 502 = @other; llm_pass down; }
    location @other { llm_pass default; }
    location = /say-fallback { error_page 502 = @other;
                               llm_pass down dialect=say; }
    location = /embed { llm_embeddings vectors; }');

my $hello = $Sallyport::Llm::hello;
my @http = ({}, { http2 => 1 });


# what came of it, whatever the dialect of the client
# {status, text, end, error, param, usage, calls}

sub chat {
    my ($client, $model, $text, $stream, $opt, %more) = @_;

    my $res = $client eq 'say'
        ? $t->post('/say', {}, { model => $model, live => $stream ? \1 : \0,
              talk => [ { who => 'rules', says => 'be kind' },
                        { who => 'user', says => $text } ], %more }, $opt)
        : $t->post('/v1/chat/completions', {}, { model => $model,
              $stream ? (stream => \1, stream_options =>
                         { include_usage => \1 }) : (),
              messages => [ { role => 'system', content => 'be kind' },
                            { role => 'user', content => $text } ],
              %more }, $opt);

    my %out = (status => $res->{status}, res => $res, text => '', end => '',
               calls => []);

    if ($res->{status} != 200) {
        my $error = $client eq 'say' ? $res->{json} : $res->{json}{error};
        @out{qw(error param)} = $client eq 'say' ? @$error{qw(oops at)}
                                                 : @$error{qw(code param)};

    } elsif ($client eq 'say') {
        read_say(\%out, $stream);

    } elsif ($stream) {
        read_openai(\%out);

    } else {
        my $json = $res->{json};
        my $choice = $json->{choices}[0];

        @out{qw(text end)} = ($choice->{message}{content},
                              $choice->{finish_reason});
        $out{usage} = $json->{usage}{completion_tokens};
        $out{calls} = $choice->{message}{tool_calls} || [];
        $out{model} = $json->{model};
    }

    return \%out;
}


sub read_say {
    my ($out, $stream) = @_;

    for my $line ($stream ? split /\n/, $out->{res}{body}
                          : $out->{res}{body})
    {
        my $event = $Sallyport::Llm::json->decode($line);

        $out->{text} .= $event->{say} // $event->{said} // '';
        $out->{end} = $event->{end}{why} // $event->{why} // $out->{end};
        $out->{usage} = $event->{end}{out} // $event->{out} // $out->{usage};
        $out->{error} = $event->{oops} if $event->{oops};
    }

    return;
}


sub read_openai {
    my ($out) = @_;

    my $parsed = Sallyport::Llm::parse($out->{res}{body});

    $out->{text} = $parsed->{text};
    $out->{end} = $parsed->{finish} // '';
    $out->{usage} = $parsed->{usage}{completion_tokens};
    $out->{error} = $parsed->{error}{code};
    $out->{done} = $parsed->{done};
    $out->{broken} = $parsed->{broken};

    for my $data ($out->{res}{body} =~ /^data: (\{.*)$/mg) {
        my $chunk = $Sallyport::Llm::json->decode($data);

        for my $call (map { @{ $_->{delta}{tool_calls} || [] } }
                      @{ $chunk->{choices} || [] })
        {
            $out->{calls}[$call->{index}] = $call;
        }

        $out->{model} = $chunk->{model} if $chunk->{model};
    }

    return;
}


# -- each client with each provider

for my $client ('openai', 'say') {
    for my $model ('default', 'sayer') {
        for my $stream (0, 1) {
            for my $opt (@http) {
                my $out = chat($client, $model, 'hi', $stream, $opt);
                my $name = "$client to $model" . ($stream ? ', stream' : '')
                           . ($opt->{http2} ? ', HTTP/2' : '');

                is($out->{status}, 200, "$name: status")
                    or diag($out->{res}{body});
                is($out->{text}, $hello, "$name: the text");
                is($out->{end}, $client eq 'say' ? 'done' : 'stop',
                   "$name: how it ended");
                is($out->{usage}, 5, "$name: usage");
                is($out->{done}, $client eq 'openai' && $stream ? 1 : undef,
                   "$name: [DONE] where it belongs");
                ok($opt->{http2} || $out->{res}{complete},
                   "$name: a proper end");
                is($out->{res}{headers}{'content-type'},
                   $client eq 'say' ? $stream ? 'application/x-ndjson'
                                              : 'application/say'
                   : $stream ? 'text/event-stream' : 'application/json',
                   "$name: content type");
            }

            my $sent = $p->last_request;

            if ($model eq 'sayer') {
                is($sent->{line}, 'POST /v1/say/great-sayer HTTP/1.1',
                   'the path of the dialect');
                is($sent->{headers}{'x-say-key'}, 'sk-test-0123456789abcdef',
                   'and its key');
                ok(!$sent->{headers}{authorization}, 'in no other header');
                is_deeply($sent->{json}, { live => $stream ? JSON::PP::true
                                                           : JSON::PP::false,
                    talk => [ { who => 'rules', says => 'be kind' },
                              { who => 'user', says => 'hi' } ] },
                    'the request of the dialect');

            } elsif ($client eq 'say') {
                is_deeply($sent->{json}{messages},
                          [ { role => 'system', content => 'be kind' },
                            { role => 'user', content => 'hi' } ],
                          'a request for OpenAI');
                is($sent->{json}{model}, 'real-model', 'and its model');
            }
        }
    }
}

is(chat('openai', 'sayer', 'hi', 1)->{model}, 'sayer',
   'the model is called as the client calls it');


# -- tool calls

for my $stream (0, 1) {
    my $out = chat('openai', 'sayer', 'fault tool', $stream);

    is($out->{end}, 'tool_calls', 'tool calls: how it ended');
    is($out->{calls}[0]{function}{name}, 'weather', 'tool calls: the name');
    is_deeply($Sallyport::Llm::json->decode(
                  Encode::encode_utf8($out->{calls}[0]{function}{arguments})),
              { at => 'é "x"' }, 'tool calls: its arguments');
    is($out->{calls}[1]{function}{arguments}, '[]',
       'tool calls: another one') if $stream;
}


# -- what a provider does wrong, in the dialect of the client

for my $client ('openai', 'say') {
    for my $opt (@http) {
        for my $case ([ 'bytes' ], [ 'crlf' ],
                      [ 'cut', 'provider_stream_cut' ],
                      [ 'short', 'provider_stream_cut' ],
                      [ 'error', 'provider_error' ],
                      [ 'garbage', 'provider_invalid_event' ])
        {
            my ($fault, $code) = @$case;
            my $out = chat($client, 'sayer', "fault $fault", 1, $opt);
            my $name = "$client, $fault" . ($opt->{http2} ? ', HTTP/2' : '');

            is($out->{error}, $code, "$name: the error")
                or diag($out->{res}{body});
            like($out->{text}, $code ? qr/^Hello/ : qr/^\Q$hello\E$/,
                 "$name: the text");
            ok(!$out->{done}, "$name: no [DONE]") if $code;
            unlike($out->{res}{body}, qr/acct-7788/,
                   "$name: nothing of the account");
        }
    }

    for my $case ([ 'status code=401', 502, 'provider_credentials_exhausted' ],
                  [ 'status code=429', 429, 'provider_rate_limited' ],
                  [ 'type', 502, 'provider_content_type' ])
    {
        my ($fault, $status, $code) = @$case;
        my $out = chat($client, 'sayer', "fault $fault", 1);

        is($out->{status}, $status, "$client, $fault: status");
        is($out->{error}, $code, "$client, $fault: the error");
    }

    my $out = chat($client, 'sayer', 'fault error', 0);
    is($out->{status}, 502, "$client: a whole answer that is an error");
    is($out->{error}, 'provider_error', 'is said to be one');
}


# -- what cannot be said, and what is refused here

my $out = chat('openai', 'sayer', 'hi', 1, {}, logit_bias => {});
is($out->{status}, 400, 'a member that has no translation');
is($out->{error}, 'unsupported_parameter', 'its code');
is($out->{param}, 'logit_bias', 'is named');

$out = chat('say', 'default', 'x' x 41, 1);
is($out->{error}, 'message_too_long', 'limits hold for every dialect');

$out = chat('say', 'nothing', 'hi', 1);
is("$out->{status} $out->{param}", '404 model', 'an unknown model');

my $res = $t->post('/say', {}, { talk => [] });
is("$res->{status} $res->{json}{oops}", '400 talk_required',
   'a request that is none');

$res = $t->post('/embed', {}, { input => 'x' });
is("$res->{status} $res->{json}{error}{code}", '400 embeddings_unsupported',
   'embeddings are not translated');


# -- from a provider that is away to one that speaks another dialect

for my $stream (0, 1) {
    $res = $t->post('/fallback', {}, { stream => $stream ? \1 : \0,
        messages => [ { role => 'user', content => 'hi' } ] });

    is($stream ? Sallyport::Llm::parse($res->{body})->{text}
               : $res->{json}{choices}[0]{message}{content}, $hello,
       'another provider, and dialect, answers');
}


$res = $t->post('/say-fallback', {}, {
    talk => [ { who => 'user', says => 'hi' } ] });

is($res->{json}{said}, $hello, 'and the client keeps its own');


# -- configuration

for my $case ([ 'llm_provider x { dialect talk; url http://127.0.0.1;
                                  model x; }',
                qr/unknown dialect "talk", allowed: openai, .*say, hush in/ ],
              [ 'server { location / { llm_pass x dialect=talk; } }',
                qr/unknown dialect "talk"/ ],
              [ 'server { location / { llm_pass x lang=say; } }',
                qr/invalid parameter "lang=say" of "llm_pass"/ ],
              [ 'error_format talk;',
                qr/unknown format "talk", allowed: json, html, openai, .*say, hush/ ])
{
    my ($bad, $message) = @$case;
    my ($ok, $text) = $t->check_conf("%%LOAD%%\n%%GLOBALS%%\nevents { }\n"
                                     . "http { %%HTTP%%\n$bad\n}\n");

    ok(!$ok, "refused: $bad");
    like($text, $message, 'says what is allowed');
}

$p->stop;
$t->finish;
done_testing;
