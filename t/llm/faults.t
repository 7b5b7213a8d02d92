#!/usr/bin/perl

# A provider that misbehaves: the client gets an error it can read, or all of
# the answer; never a short one that looks whole.

use strict;
use warnings;
use utf8;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'llm_event_size 64k; moderation_rules test.rules;
             llm_provider down { url http://127.0.0.1:%%PORT2%%;
                                 model m as=down; }',
    prepare => sub { $_[0]->file('test.rules',
                                 "[m category=x action=block]\nsecret\n") },
    server => 'location = /judged { moderation output; llm_pass default; }
               location = /fallback {
                   error_page 429 502 503 504 = @backup;
                   llm_pass down;
               }
               location @backup { llm_pass default; }');


sub chat {
    my ($text, $opt, %more) = @_;
    return $t->post('/v1/chat/completions', {}, Sallyport::Llm::body($text, %more),
                    $opt);
}

sub stream { return chat($_[0], $_[1], stream => \1) }


# -- the HTTP answer of a provider that refuses: [fault, status, code]

my @refusals = (
    [ 'status code=400', 400, 'provider_refused_request',
      qr/Unsupported value: é/ ],
    [ 'status code=400 chunked=1', 400, 'provider_refused_request',
      qr/Unsupported value: é/ ],
    [ 'status code=400 bytes=1', 400, 'provider_refused_request',
      qr/Unsupported value: é/ ],
    [ 'status code=400 bytes=1 chunked=1', 400, 'provider_refused_request',
      qr/Unsupported value: é/ ],
    [ 'status code=400 gzip=1', 400, 'provider_refused_request' ],
    [ 'status code=401', 502, 'provider_credentials_exhausted' ],
    [ 'status code=403', 502, 'provider_credentials_exhausted' ],
    [ 'status code=404', 502, 'provider_model_not_found' ],
    [ 'status code=408', 504, 'provider_timeout' ],
    [ 'status code=429 retry=7', 429, 'provider_rate_limited', qr/./, 7 ],
    [ 'status code=429', 429, 'provider_rate_limited', qr/./, qr/^\d+$/ ],
    [ 'status code=500', 502, 'provider_failed' ],
    [ 'status code=503 retry=9', 503, 'provider_overloaded', qr/./, 9 ],
    [ 'status code=529', 503, 'provider_overloaded', qr/./, qr/^\d+$/ ],
    [ 'status code=302', 502, 'provider_failed' ],
    [ 'type', 502, 'provider_content_type' ],
    [ 'gzip', 502, 'provider_encoded' ],
    [ 'header', 502, 'provider_unreachable' ],
    [ 'stall at=accept', 504, 'provider_timeout' ],
);

for my $case (@refusals) {
    my ($fault, $status, $code, $message, $retry) = @$case;

    for my $opt ({}, { http2 => 1 }) {
        for my $stream (0, 1) {
            next if $fault =~ /stall/ && $opt->{http2};

            my $res = chat("fault $fault", $opt, stream =>
                           $stream ? \1 : \0);
            my $name = "$fault" . ($stream ? ', stream' : '')
                       . ($opt->{http2} ? ', HTTP/2' : '');

            is($res->{status}, $status, "$name: status");
            is($res->{json}{error}{code}, $code, "$name: code");
            like($res->{json}{error}{message}, $message || qr/provider/,
                 "$name: message");
            like($res->{headers}{'content-type'}, qr{^application/json},
                 "$name: the error is JSON");
            like($res->{headers}{'retry-after'} // '',
                 ref $retry ? $retry : defined $retry ? qr/^$retry$/ : qr/^$/,
                 "$name: Retry-After");
            unlike($res->{body}, qr/acct-7788|sk-test/,
                   "$name: nothing of the operator's account");
        }
    }
}

is(chat('fault type type=application/json', {}, stream => \1)->{status}, 502,
   'JSON where a stream was asked for');
is(chat('fault type type=text/event-stream')->{status}, 502,
   'a stream where JSON was asked for');


# -- streams that are well-formed in unusual ways: all of it arrives

for my $fault ('bytes', 'bytes chunks=1', 'crlf', 'cr', 'comments',
               'interim', 'length', 'close', 'no_blank', 'usage')
{
    for my $opt ({}, { http2 => 1 }) {
        my $res = stream("fault $fault", $opt);
        my $out = Sallyport::Llm::parse($res->{body});
        my $name = $fault . ($opt->{http2} ? ', HTTP/2' : '');

        is($out->{text}, $Sallyport::Llm::hello, "$name: the text");
        is($out->{done}, 1, "$name: [DONE]");
        ok(!$out->{error} && !$out->{broken}, "$name: no error")
            or diag($res->{body});
        ok($opt->{http2} || $res->{complete}, "$name: a proper end");
    }
}

is(Sallyport::Llm::parse(stream('fault nousage')->{body})->{done}, 1,
   'a provider without usage');

like(stream('fault comments')->{body}, qr/^: ping\n\n/m, 'comments pass');

for my $fault (qw(bytes interim close)) {
    is(chat("fault $fault")->{json}{choices}[0]{message}{content},
       $Sallyport::Llm::hello, "$fault: a whole answer");
}

my $big = stream('fault big size=40000');

is(length Sallyport::Llm::parse($big->{body})->{text}, 40000 + length $Sallyport::Llm::hello,
   'a large event passes');


# -- above llm_event_size: the bytes pass, what is said beside them is read

for my $fault ('big size=100000', 'big size=3000000', 'big size=100000 lines=1')
{
    for my $opt ({}, { http2 => 1 }) {
        my $name = $fault . ($opt->{http2} ? ', HTTP/2' : '');
        my $body = Sallyport::Llm::body("fault $fault", stream => \1,
            stream_options => { include_usage => \1 });
        my $got = $t->post('/v1/chat/completions', {}, $body, $opt)->{body};
        my $sent = $t->request('POST', '/v1/chat/completions',
            { 'Content-Type' => 'application/json' },
            $Sallyport::Llm::json->encode({ %$body, model => 'real-model' }),
            { port => $t->port(1) })->{body};

        ok($got eq $sent, "$name: byte for byte")
            or diag(length $got, ' of ', length $sent);

        # its end and its usage are in it
        $got = stream("fault $fault last=1", $opt)->{body};

        is(Sallyport::Llm::parse($got =~ s/x{1000,}//r)->{done}, 1,
           "$name, last: complete, as it says itself");

        $got = stream("fault $fault error=1", $opt)->{body};
        is(Sallyport::Llm::parse($got =~ s/x{1000,}//r)->{error}{code},
           'provider_error', "$name, error: told behind it");
    }
}

my $tokens = Sallyport::Llm::metric($t, 'sallyport_llm_tokens_total',
    'provider="fake",kind="chat",type="completion"');

stream('fault big size=3000000 last=1');
is(Sallyport::Llm::metric($t, 'sallyport_llm_tokens_total',
       'provider="fake",kind="chat",type="completion"') - $tokens, 77,
   'and accounted by its usage');

# a whole answer above it as well

$tokens += 77;

is(length chat('fault close words=20000')->{json}{choices}[0]{message}{content},
   128894, 'a large answer passes');
is(Sallyport::Llm::metric($t, 'sallyport_llm_tokens_total',
       'provider="fake",kind="chat",type="completion"') - $tokens, 20000,
   'and is accounted by its usage');

for my $opt ({}, { http2 => 1 }) {
    my $got = stream('fault big size=3000000 cut=1', $opt)->{body};

    like($got, qr/x\n\ndata: \{"error":[^\n]*provider_stream_cut[^\n]*\n\n\z/,
         'cut in the midst of it: an event of its own says so');

    is(Sallyport::Llm::parse($t->post('/judged', {},
           Sallyport::Llm::body('fault big size=3000000', stream => \1),
           $opt)->{body})->{error}{code}, 'provider_event_too_large',
       'where it is judged it is an error');
}


# -- streams that break: what came, then an error event, no [DONE]

my %broken = (
    'cut at=mid'    => 'provider_stream_cut',
    'cut at=header' => 'provider_stream_cut',
    'short finish=0' => 'provider_stream_cut',
    'short finish=0 end=cut' => 'provider_stream_cut',
    'short finish=0 end=half' => 'provider_stream_cut',
    'noise'         => 'provider_stream_cut',
    'stall at=mid'  => 'provider_read_timeout',
    'stall at=header' => 'provider_read_timeout',
    'error'         => 'provider_error',
    'garbage'       => 'provider_invalid_event',
);

for my $fault (sort keys %broken) {
    for my $opt ({}, { http2 => 1 }) {
        my $res = stream("fault $fault", $opt);
        my $out = Sallyport::Llm::parse($res->{body});
        my $name = $fault . ($opt->{http2} ? ', HTTP/2' : '');

        is($res->{status}, 200, "$name: status");
        is($out->{error}{code}, $broken{$fault}, "$name: an error event")
            or diag($res->{body});
        is($out->{error}{type}, 'upstream_error', "$name: of its type");
        is($out->{done}, 0, "$name: no [DONE]");
        is($out->{broken}, undef, "$name: no half of an event");
        unlike($res->{body}, qr/acct-7788/, "$name: nothing of the account");
        like($out->{text}, qr/^Hello/, "$name: what came before")
            unless $fault =~ /header/;
    }
}


# -- a stream whose choices all end, but not itself: it is complete

my $unterminated = 7;    # with the large ones above

for my $fault ('short', 'short end=cut', 'short end=half', 'short end=line',
               'short finish=2')
{
    my $n = $fault =~ /finish=2/ ? 2 : 1;

    for my $opt ({}, { http2 => 1 }) {
        for my $usage (0, 1) {
            my $res = chat("fault $fault", $opt, stream => \1, n => $n,
                           $usage ? (stream_options =>
                                     { include_usage => \1 }) : ());
            my $out = Sallyport::Llm::parse($res->{body});
            my $name = $fault . ($opt->{http2} ? ', HTTP/2' : '')
                       . ($usage ? ', usage' : '');

            is($out->{text}, $Sallyport::Llm::hello, "$name: the text");
            is($out->{done}, 1, "$name: [DONE] is said in its place")
                or diag($res->{body});
            ok(!$out->{error} && !$out->{broken}, "$name: no error");
            ok($opt->{http2} || $res->{complete}, "$name: a proper end");
            is(ref $out->{usage}, $usage ? 'HASH' : '', "$name: usage");
            $unterminated++;
        }
    }
}

is(Sallyport::Llm::metric($t, 'sallyport_llm_unterminated_total',
                          'provider="fake"'), $unterminated, 'counted');

my $half = chat('fault short finish=1', {}, stream => \1, n => 2);

is(Sallyport::Llm::parse($half->{body})->{error}{code},
   'provider_stream_cut', 'one of two choices has no end');


# -- what SDKs branch on comes from the provider, where it is the client's

my $refused = chat('fault status code=400 type=image_error '
                   . 'param=messages.[0].content error=invalid_image');

is_deeply({ map { $_ => $refused->{json}{error}{$_} } qw(type param code) },
          { type => 'image_error', param => 'messages.[0].content',
            code => 'invalid_image' }, 'type, param and code');
like($refused->{json}{error}{request_id}, qr/^[0-9a-f]{32}$/,
     'with our request id');

$refused = chat('fault status code=429 type=t param=p error=account_7788');

is_deeply({ map { $_ => $refused->{json}{error}{$_} } qw(type param code) },
          { type => 'rate_limit_error', param => undef,
            code => 'provider_rate_limited' }, 'not of the account');

$refused = chat('fault status code=400 error=sk-test-0123 param=SK-TEST-01');

is($refused->{json}{error}{code}, 'provider_refused_request',
   'never a key in its code');
is($refused->{json}{error}{param}, undef, 'nor in its param');


# -- a whole answer that breaks: the connection is cut, or an error

for my $fault ('cut at=mid', 'cut at=header', 'stall at=mid') {
    my $res = chat("fault $fault");

    ok($res->{status} >= 500 || !$res->{complete},
       "$fault: not taken for an answer");
}


# the end of the connection is not that of half an answer

my $half_json = '{"choices":[{"index":0,"finish_reason":"stop","message":{"con';

ok(!chat("fault raw length=0\n$half_json")->{complete},
   'ended by the connection: cut as well');

for my $opt ({}, { http2 => 1 }) {
    my $res = chat('fault error', $opt);

    is($res->{status}, 502, 'an error with status 200 is an error');
    is($res->{json}{error}{code}, 'provider_error', 'with a code');
    unlike($res->{body}, qr/acct-7788/, 'and nothing of the account');
}


# -- [DONE] and a provider that keeps the connection: the client has it all

my $s = $t->stream('POST', '/v1/chat/completions', {},
                   Sallyport::Llm::body('fault hold', stream => \1));

ok($s->read_until(qr/data: \[DONE\]\n\n/, 5), 'hold: [DONE] arrives');
$s->close;


# -- another provider, as long as nothing was said

for my $opt ({}, { http2 => 1 }) {
    for my $stream (0, 1) {
        my $res = $t->post('/fallback', {}, {
            stream => $stream ? \1 : \0,
            messages => [ { role => 'user', content => 'hi' } ] }, $opt);

        is($res->{status}, 200, 'another provider answers');
        is($stream ? Sallyport::Llm::parse($res->{body})->{text}
                   : $res->{json}{choices}[0]{message}{content}, $Sallyport::Llm::hello,
           'with the whole answer');
    }
}

is(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
               'provider="down",kind="chat",outcome="failed"'), 4, 'both are counted');


# -- an unreachable provider

$p->stop;

for my $opt ({}, { http2 => 1 }) {
    my $res = stream('hi', $opt);

    is($res->{status}, 502, 'no provider');
    is($res->{json}{error}{code}, 'provider_unreachable', 'its code');
}

is(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
               'provider="fake",kind="chat",outcome="partial"'), 0,
   'who has read [DONE] has it all');

unlike($t->error_log, qr/sk-test/, 'no key in the log');

$t->finish;
done_testing;
