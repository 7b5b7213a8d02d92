package Sallyport::Media;

# The fake provider's images, speech and transcriptions: what the prompt, or the
# input, asks for.

use strict;
use warnings;

use JSON::PP;


my $json = JSON::PP->new->canonical->utf8;


sub is_media { $_[0] =~ m{/(?:images/generations|audio/(?:speech|trans\w+))[ ?]} }


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
           : $line =~ /speech/ ? speech($request, $name, %arg)
                               : transcript($request, $name, %arg);
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


# the text is the hash of the file: who reads it knows that the file came whole

sub transcript {
    my ($request, $name, %arg) = @_;

    my $text = ref $request->{file} ? $request->{file}{sha256} : 'no file';
    my $format = $request->{response_format} || 'json';
    my $usage = $name eq 'tokens'
        ? { type => 'tokens', input_tokens => 14, output_tokens => 7,
            input_token_details => { text_tokens => 4, audio_tokens => 10 } }
        : { type => 'duration', seconds => 12 };

    return stream($name,
                  (map { [ 'transcript.text.delta', { delta => $_ } ] }
                   substr($text, 0, 9), substr($text, 9)),
                  [ 'transcript.text.done', { text => $text, usage => $usage } ])
        if ($request->{stream} || '') eq 'true' && $name ne 'whole';

    return whole($arg{type} || 'text/plain; charset=utf-8',
                 $name eq 'empty' ? '' : "$text\n", $name)
        if $format =~ /^(?:text|srt|vtt)$/ && $name ne 'json';

    my $answer = $name eq 'empty' ? { task => 'transcribe' }
                 : $name eq 'error' ? { error => { message => 'no' } }
                 : { text => $text };

    $answer->{usage} = $usage if $name ne 'nousage' && $name ne 'empty';
    $answer = { task => 'transcribe', duration => '8.47', text => $text,
                segments => [ { id => 0, text => $text } ] }
        if $format eq 'verbose_json';

    return whole($arg{type} || 'application/json', $json->encode($answer),
                 $name);
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
