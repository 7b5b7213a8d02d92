package Sallyport::Media;

# The fake provider's images and speech: what the prompt, or the input, asks
# for.

use strict;
use warnings;

use JSON::PP;


my $json = JSON::PP->new->canonical->utf8;


sub is_media { $_[0] =~ m{/(?:images/generations|audio/speech)[ ?]} }


# what is asked for, in place of a user message

sub asked {
    my ($request) = @_;

    return $request->{prompt} // $request->{input} // '';
}


# all bytes there are, over and over

my $bytes = join '', map { chr } 0 .. 255;

sub audio { return substr $bytes x ($_[0] / 256 + 1), 0, $_[0] }


sub plan {
    my ($line, $request, $name, %arg) = @_;

    return $line =~ /images/ ? images($request, $name, %arg)
                             : speech($request, $name, %arg);
}


sub images {
    my ($request, $name, %arg) = @_;

    my $n = $request->{n} || 1;
    my $image = 'A' x ($arg{size} || 16);
    my $usage = { input_tokens => 5, output_tokens => 40, total_tokens => 45,
                  input_tokens_details => { cached_tokens => 2 } };

    return stream($name, map { [ "image_generation.$_->[0]",
        { b64_json => $image, $_->[1] ? (usage => $usage) : () } ] }
        map { ([ 'partial_image' ], [ 'completed', 1 ]) } 1 .. $n)
        if $request->{stream};

    # the encoder looks at each character, and an image has millions of them
    my $body = $json->encode({ created => 1,
        data => [ map { { b64_json => 'BIG' } } 1 .. $n ],
        $name eq 'nousage' ? () : (usage => $usage) });

    $body =~ s/BIG/$image/g;
    $body = '{"created":1}' if $name eq 'empty';
    $body = '{"error":{"message":"no","type":"x"}}' if $name eq 'error';

    return whole('application/json', $body, $name);
}


sub speech {
    my ($request, $name, %arg) = @_;

    return stream($name, (map { [ 'speech.audio.delta', { audio => 'AAAA' } ] }
                          1 .. 3),
                  [ 'speech.audio.done', { usage => { input_tokens => 4,
                                           output_tokens => 9 } } ])
        if ($request->{stream_format} || '') eq 'sse';

    return whole($arg{type} || 'audio/mpeg',
                 $name eq 'empty' ? '' : audio($arg{size} || 3000), $name);
}


sub whole {
    my ($type, $body, $name) = @_;

    my $half = substr $body, 0, length($body) / 2;
    my $rest = substr $body, length $half;
    my $length = head($type, 'Content-Length: ' . length($body) . "\r\n");

    return $length, $half, { stall => 1 } if $name eq 'stall';
    return $length, $half, { wait => 0.05 }, { close => 1 } if $name eq 'cut';

    return head($type, "Connection: close\r\n"), $body, { close => 1 }
        if $name eq 'close';

    return head($type, "Transfer-Encoding: chunked\r\n"), chunk($half),
           { wait => 0.05 }, chunk($rest), "0\r\n\r\n", { done => 1 }
        if $name eq 'chunked';

    return $length, $body, { done => 1 };
}


sub stream {
    my ($name, @events) = @_;

    my @texts = map { "event: $_->[0]\ndata: "
                      . $json->encode({ type => $_->[0], %{ $_->[1] } })
                      . "\n\n" } @events;
    my $head = head('text/event-stream', "Transfer-Encoding: chunked\r\n");

    my @chunks = map { (chunk($_), { wait => 0.002 }) } @texts;

    return $head, @chunks[0, 1], { close => 1 } if $name eq 'cut';
    return $head, @chunks[0, 1], { stall => 1 } if $name eq 'stall';
    return $head, @chunks[0, 1], "0\r\n\r\n", { done => 1 }
        if $name eq 'short';

    return $head, (map { ref $_ ? () : split //, $_ } @chunks), "0\r\n\r\n",
           { done => 1 } if $name eq 'bytes';

    return $head, @chunks, "0\r\n\r\n", { done => 1 };
}


sub head {
    my ($type, $more) = @_;

    return "HTTP/1.1 200 X\r\nContent-Type: $type\r\n"
           . "Set-Cookie: account=1\r\n$more\r\n";
}


sub chunk { return sprintf "%x\r\n%s\r\n", length $_[0], $_[0] }


1;
