package Sallyport::Gemini;

=head1 NAME

Gemini - what Sallyport::Provider says as Google's own API

=head1 SYNOPSIS

Below :generateContent, :streamGenerateContent?alt=sse and :batchEmbedContents.
That the shapes are Google's is checked by t/e2e/gemini.t with @google/genai.

Anything but these faults is answered as Provider does it, each word an event,
with usage as running totals, and CRLF:

    bytes, cr, lf     every byte a packet of its own, line ends
    tool              thoughts, two calls at once, the first of them signed,
                      and STOP in an event behind them
    calls             a call with an id
    tools             two calls behind the text, the second without arguments
    error             an error event in the stream, or an error with status 200
    slow              delay=MS between events
    raw               the other lines of the message: each an event of the
                      stream, all of them a whole answer
    sign              size=N: a call with a signature of so many bytes
    image             a part that is an image
    finish            reason=R: how it ends
    block             the prompt is blocked
    empty             usage, and no candidate
    totals            usage, where thoughts are told once only
    naked             at=N: an error behind N events, as Google writes it:
                      lines of JSON without "data:", end=none: and without an
                      end of the line
    array             JSON as without alt=sse, with the type of a stream
    short             no finish reason; end=cut: not even the body ends
    stall             within the third event
    status            code=N: an error answer; delay=S: its RetryInfo

=cut

use strict;
use warnings;

use JSON::PP;


my $json = JSON::PP->new->canonical->latin1;
my $pretty = JSON::PP->new->canonical->latin1->pretty;


# the last text of the user, or undef: it is no request of this API

sub asked {
    my ($request) = @_;

    my $text;

    for my $content (@{ $request->{contents} || [] }) {
        next unless ($content->{role} || 'user') eq 'user';

        for my $part (@{ $content->{parts} }) {
            $text = $part->{text} if defined $part->{text};
        }
    }

    return $text;
}


sub plan {
    my ($line, $request, $name, %arg) = @_;

    return vectors($request) if $line =~ /:batchEmbedContents /;
    return failure(%arg) if $name eq 'status';
    return { stall => 1 } if $name eq 'stall' && ($arg{at} || '') eq 'accept';

    return raw($line, split /\n/, $arg{text}) if $name eq 'raw';

    my @events = events($request, $name, %arg);

    return whole($name, \%arg, @events)
        if $line !~ /:streamGenerateContent\?alt=sse /;
    return stream($name, \%arg, @events);
}


# lines that are events, or all of a whole answer

sub raw {
    my ($line, @lines) = @_;

    my $stream = $line =~ /:streamGenerateContent\?alt=sse /;
    my $body = $stream ? join '', map { "data: $_\r\n\r\n" } @lines
                       : join "\n", @lines;

    return Sallyport::Provider::head(200, $stream ? 'text/event-stream'
                                                  : 'application/json',
               'Content-Length: ' . length($body) . "\r\n"), $body,
           { done => 1 };
}


sub part { return { candidates => [ { index => $_[1] || 0, content =>
    { role => 'model', parts => [ $_[0] ] } } ] } }


sub call {
    my ($name, $args, %more) = @_;
    my %signed = $more{sign} ? (thoughtSignature => $more{sign}) : ();

    return { functionCall => { name => $name, args => $args,
        $more{id} ? (id => $more{id}) : () }, %signed };
}


sub events {
    my ($request, $name, %arg) = @_;

    my $n = ($request->{generationConfig} || {})->{candidateCount} || 1;
    my @events;

    return { promptFeedback => { blockReason => 'PROHIBITED_CONTENT' },
             usageMetadata => { promptTokenCount => 11,
                                totalTokenCount => 11 } }
        if $name eq 'block';

    return { usageMetadata => { promptTokenCount => 11 } }
        if $name eq 'empty';

    if ($name eq 'tool') {
        push @events, part({ thought => JSON::PP::true, text => 'hm' }),
            { candidates => [ { index => 0, content => { role => 'model',
                parts => [ call('weather', { at => "\x{c3}\x{a9} \"x\"" },
                                sign => 'c2lnbmVk/+=='),
                           call('time', {}) ] } } ] },
            part({ text => '' });

    } elsif ($name eq 'calls') {
        push @events, part(call('weather', { at => 'Rome' }, id => 'fc7'));

    } elsif ($name eq 'sign') {
        push @events, part(call('weather', {}, sign => 'SIGNATURE'));

    } elsif ($name eq 'image') {
        push @events, part({ text => 'Hello ' }),
            part({ inlineData => { mimeType => 'image/png',
                                   data => 'AAAA' } });

    } else {
        for my $word (Sallyport::Provider::words(%arg)) {
            push @events, map { part({ text => $word }, $_) } 0 .. $n - 1;
        }
    }

    push @events, part(call('weather', { at => "R\x{c3}\x{b4}me" })),
                  part(call('now', {})) if $name eq 'tools';

    # usage of all so far is told with each

    for my $i (0 .. $#events) {
        $events[$i]{usageMetadata} = {
            promptTokenCount => 11, candidatesTokenCount => $i + 1,
            cachedContentTokenCount => 4, thoughtsTokenCount => 2,
            totalTokenCount => 11 + $i + 3 };

        delete $events[$i]{usageMetadata}{thoughtsTokenCount}
            if $name eq 'totals' && $i > 0;
        @{ $events[$i] }{qw(modelVersion responseId)} = ('gemini-fake', 'r1');
    }

    return @events if $name eq 'short';

    $events[$_ - $n]{candidates}[0]{finishReason} = $arg{reason} || 'STOP'
        for 0 .. $n - 1;

    splice @events, 2, 0, problem(503) if $name eq 'error';

    return @events;
}


# one answer that says what all events say

sub whole {
    my ($name, $arg, @events) = @_;

    my $body;

    if ($name =~ /^(?:array|naked|error)$/) {
        $body = $json->encode($name eq 'array' ? \@events : problem(503));

    } else {
        my $answer = pop @events;
        my @by = map { @{ $_->{candidates} || [] } } @events,
                 $answer;
        my %choice;

        for my $candidate (@by) {
            my $i = $candidate->{index};
            my @parts = @{ $candidate->{content}{parts} };

            $choice{$i} ||= { %$candidate, content => { role => 'model',
                                                        parts => [] } };
            push @{ $choice{$i}{content}{parts} }, @parts;
            $choice{$i}{finishReason} = $candidate->{finishReason}
                if $candidate->{finishReason};
        }

        $answer->{candidates} = [ map { $choice{$_} } sort keys %choice ]
            if %choice;
        $body = signed($pretty->encode($answer), $arg);
    }

    return Sallyport::Provider::head(200, 'application/json; charset=UTF-8',
               'Content-Length: ' . length($body) . "\r\n"), $body,
           { done => 1 };
}


sub stream {
    my ($name, $arg, @events) = @_;

    my $eol = $name eq 'lf' ? "\n" : $name eq 'cr' ? "\r" : "\r\n";
    my @lines = map { 'data: ' . signed($json->encode($_), $arg)
                      . "$eol$eol" } @events;

    if ($name eq 'naked') {
        my $text = $pretty->encode(problem(503));

        chomp $text if ($arg->{end} || '') eq 'none';
        splice @lines, $arg->{at} // 2, @lines, $text;
    }

    if ($name eq 'array') {
        my @all = map { $pretty->encode($_) } @events;
        @lines = ("[$all[0]", (map { ",\r\n$_" } @all[1 .. $#all]), "]\n");
    }

    my $head = Sallyport::Provider::head(200, 'text/event-stream',
                                         "Transfer-Encoding: chunked\r\n");
    my @pause = ({ wait => ($arg->{delay} || 1) / 1000 });
    my @chunks = map { (Sallyport::Provider::chunk($_), @pause) } @lines;

    return $head, @chunks[0 .. 3], Sallyport::Provider::chunk(
        substr $lines[2], 0, 30), { stall => 1 } if $name eq 'stall';
    return $head, @chunks, { close => 1 } if ($arg->{end} || '') eq 'cut';

    @chunks = map { split //, Sallyport::Provider::chunk($_) }
              map { split // } @lines if $name eq 'bytes';

    return $head, @chunks, "0\r\n\r\n", { done => 1 };
}


# JSON::PP would need seconds for megabytes

sub signed {
    my ($text, $arg) = @_;

    return $text =~ s/SIGNATURE/'A' x $arg->{size}/er;
}


sub problem {
    my ($code, $delay) = @_;

    my %status = (400 => 'INVALID_ARGUMENT', 429 => 'RESOURCE_EXHAUSTED',
                  500 => 'INTERNAL', 503 => 'UNAVAILABLE');

    return { error => { code => $code, status => $status{$code} || 'UNKNOWN',
        message => $code == 400 ? 'Invalid value at contents'
                                : $Sallyport::Provider::secret,
        details => [ { '@type' =>
            'type.googleapis.com/google.rpc.DebugInfo' },
            defined $delay ? { '@type' =>
                'type.googleapis.com/google.rpc.RetryInfo',
                retryDelay => $delay } : () ] } };
}


sub failure {
    my (%arg) = @_;

    my $body = $pretty->encode(problem($arg{code}, $arg{delay}));

    return Sallyport::Provider::head($arg{code},
               'application/json; charset=UTF-8',
               'Content-Length: ' . length($body) . "\r\n"), $body,
           { done => 1 };
}


sub vectors {
    my ($request) = @_;

    my $body = $json->encode({ embeddings => [
        map { { values => [ 0.5, -0.5 ] } } @{ $request->{requests} } ] });

    return Sallyport::Provider::head(200, 'application/json',
               'Content-Length: ' . length($body) . "\r\n"), $body,
           { done => 1 };
}


1;
