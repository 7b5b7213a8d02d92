package Sallyport::Words;

# What the fake providers say, and call: Sallyport::Provider puts it into the
# form of an API.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(words pieces echoes saying calls two_calls call_pieces
                    usage);


sub words {
    my (%arg) = @_;

    return map { "w$_ " } 1 .. $arg{words} if $arg{words};
    return pieces($arg{text}, $arg{size}) if defined $arg{text};
    return ('Hello ', "\x{c3}\x{a9} ", "\x{f0}\x{9f}\x{98}\x{80} ",
            "\"quoted\"\n", 'end.');
}


# cut between characters, not bytes

sub pieces {
    my ($text, $size) = @_;

    utf8::decode($text);
    my @pieces = unpack '(a' . ($size || 1) . ')*', $text;
    utf8::encode($_) for @pieces;

    return @pieces;
}


# [choice, what it is], in turns

sub echoes {
    my (%arg) = @_;

    my $choice = 0;
    my @all = map { my $i = $choice++; [ map { [ $i, $_ ] } @$_ ] }
              map { [ pieces($_, $arg{size}) ] } split /\n--\n/, $arg{text};
    my @turns;

    while (grep { @$_ } @all) {
        push @turns, map { @$_ ? shift @$_ : () } @all;
    }

    return @turns;
}


# a delta, or a message, that says it

sub saying {
    my ($field, $text) = @_;

    $field ||= 'content';

    return { $field => $text } if $field ne 'tool_calls';
    return { tool_calls => [ { index => 0, id => 'call_1', type => 'function',
        function => { name => 'look_up', arguments => $text } } ] };
}


# reasoning and two calls; nothing when their results are there

sub calls {
    my ($request) = @_;

    return if $request->{messages}[-1]{role} eq 'tool';

    my $i = 0;

    return { reasoning_content => 'I look it up. ' }, map { {
        tool_calls => [ { index => $i, id => 'call_' . $i++,
            type => 'function', function => $_ } ] } }
        { name => 'weather', arguments => '{"city":"Rome"}' },
        { name => 'time', arguments => '{}' };
}


# two calls, whole or in the pieces of a stream

sub two_calls {
    return [ { index => 0, id => 'call_1', type => 'function', function =>
               { name => 'weather', arguments => "{\"at\":\"R\x{c3}\x{b4}me\"}" } },
             { index => 1, id => 'call_2', type => 'function', function =>
               { name => 'now', arguments => '{}' } } ];
}


sub call_pieces {
    my ($first, $second) = @{ two_calls() };

    return map { { tool_calls => [ $_ ] } }
        { %$first, function => { name => 'weather', arguments => '' } },
        { index => 0, function => { arguments => '{"at":' } },
        { index => 0, function => { arguments => "\"R\x{c3}\x{b4}me\"}" } },
        $second;
}


# what follows the last calls of a request, in whichever API: their results

sub results {
    my ($request) = @_;

    my @said = reverse @{ $request->{messages} || $request->{contents} || [] };
    my @last;

    while (@said && ($said[0]{role} || 'user') =~ /^(?:user|tool)$/) {
        unshift @last, shift @said;
    }

    return map { result($_) } @last;
}


sub result {
    my ($message) = @_;

    return text($message->{content}) if $message->{role} eq 'tool';

    my @parts = @{ $message->{parts} || [] };

    push @parts, @{ $message->{content} } if ref $message->{content};

    return map { $_->{functionResponse}
                 ? values %{ $_->{functionResponse}{response} }
                 : ($_->{type} || '') eq 'tool_result' ? text($_->{content})
                                                       : () } @parts;
}


sub text {
    my ($content) = @_;
    return ref $content ? join '', map { $_->{text} } @$content : $content;
}


# the images of a request: "TYPE BASE64"

sub images {
    my ($request) = @_;

    my @parts = map { @{ $_->{parts}
                         || (ref $_->{content} ? $_->{content} : []) } }
                @{ $request->{messages} || $request->{contents} || [] };

    return join '|', map {
        $_->{inlineData} ? "@{ $_->{inlineData} }{qw(mimeType data)}"
        : $_->{source} ? "@{ $_->{source} }{qw(media_type data)}"
        : ($_->{image_url} || {})->{url} =~ /^data:(.*);base64,(.*)/
          ? "$1 $2" : () } grep { !defined $_->{text} } @parts;
}


sub usage {
    my ($n) = @_;
    return { prompt_tokens => 11, completion_tokens => $n,
             total_tokens => 11 + $n,
             prompt_tokens_details => { cached_tokens => 4 } };
}


1;
