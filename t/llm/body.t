#!/usr/bin/perl

# Images in messages: bodies of megabytes pass byte for byte, and are held
# once.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Llm;
use Test::More;


my ($t, $p) = Sallyport::Llm::gateway(
    read_timeout => '30s',
    http => 'moderation_rules test.rules;',
    server => 'location = /small { body_max_size 2m; llm_pass default; }
               location = /masked { moderation input; llm_pass default; }',
    prepare => sub {
        $_[0]->file('test.rules', "[m category=x action=mask]\nsecret\n");
    });

my @http = ({}, { http2 => 1 });


# a message with a data URL of so many bytes, and what was sent of it

sub body {
    my ($size, $text) = @_;

    my $head = 'data:image/png;base64,';
    my $url = $head . join '', map { chr 65 + $_ % 26 }
                              map { $_ * 7 } 1 .. 1021;

    $url .= substr $url, length($head), 1021 while length $url < 70_000;
    $url x= 1 + int($size / length $url);
    $url =~ s/$head//g;
    $url = substr $head . $url, 0, $size;

    return ($url, '{"model":"default","seed":18446744073709551616,'
            . '"messages":[{"role":"user","content":[{"type":"image_url",'
            . '"image_url":{"url":"' . $url . '"}},{"type":"text","text":"'
            . $text . '"}]}],"metadata":{"memory":"off"}}');
}


sub post {
    my ($path, $body, $opt) = @_;
    return $t->post($path, { 'Content-Type' => 'application/json' }, $body,
                    $opt);
}


for my $size (100_000, 1_500_000, 20_000_000) {
    my ($url, $body) = body($size, 'what is this?');

    # what is sent, written by hand
    my $sent = $body =~ s/^\{"model":"default"/{"model":"real-model"/r
                     =~ s/,"metadata":.*/}/r;

    for my $opt (@http) {
        my $name = "$size bytes" . ($opt->{http2} ? ', HTTP/2' : '');
        my $res = post('/v1/chat/completions', $body, $opt);

        is($res->{status}, 200, "$name: answered") or diag($res->{body});

        my $got = $p->last_request->{json};

        if ($size < 1_000_000) {
            is($got->{messages}[0]{content}[0]{image_url}{url}, $url,
               "$name: the image");
            next;
        }

        is($got->{large}, length $sent, "$name: as many bytes");
        is($got->{url}, sha256_hex($url), "$name: the image");
        is($got->{sha256}, sha256_hex($sent), "$name: each of them");
    }
}


# -- a text beside it is masked, the image is what it was

my ($url, $body) = body(3_000_000, 'my secret');
my $res = post('/masked', $body);

is("$res->{status} $res->{headers}{'x-moderation'}", '200 masked', 'masked');
is($p->last_request->{json}{url}, sha256_hex($url), 'beside an image');
is($p->last_request->{json}{sha256},
   sha256_hex($body =~ s/^\{"model":"default"/{"model":"real-model"/r
                    =~ s/,"metadata":.*/}/r =~ s/secret/******/r),
   'and nothing else has changed');


# -- escapes in it: still the same string

$res = post('/v1/chat/completions', $body =~ s{image/png}{image\\/png}r);

is($res->{status}, 200, 'with an escape');
is($p->last_request->{json}{url},
   sha256_hex($url =~ s{image/png}{image\\/png}r), 'as it was spelled');


# -- limits: of the body, not of texts alone

(undef, $body) = body(33 * 1024 * 1024, 'x');
is(post('/v1/chat/completions', $body)->{status}, 413, '33 MB are too many');

(undef, $body) = body(3_000_000, 'x');
is(post('/small', $body)->{status}, 413, 'body_max_size');

(undef, $body) = body(100_000, 'x' x 1001);
is(post('/v1/chat/completions', $body)->{json}{error}{code},
   'message_too_long', 'a text is still short');

$p->stop;
$t->finish;
done_testing;
