package Sallyport::Anthropic;

# What the fake provider (Sallyport::Provider) says below /messages, in place
# of chat completions; and how the tests read the answers of that API.

use strict;
use warnings;

use JSON::PP;


my $json = JSON::PP->new->canonical->latin1;
my $read = JSON::PP->new->utf8;

our $signature = 'EqQBCgIYAhIM/sig+nature==';


# -- the provider

sub usage {
    my ($n) = @_;

    return { input_tokens => 4, cache_creation_input_tokens => 2,
             cache_read_input_tokens => 5, output_tokens => $n };
}


# the blocks of an answer: [type, what it begins with, deltas ...]

sub blocks {
    my ($name, @words) = @_;

    my @text = [ { type => 'text', text => '' },
                 map { { type => 'text_delta', text => $_ } } @words ];

    return ([ { type => 'thinking', thinking => '', signature => '' },
              (map { { type => 'thinking_delta', thinking => $_ } }
               'Let me ', 'think.'),
              { type => 'signature_delta', signature => $signature } ],
            [ { type => 'redacted_thinking', data => 'opaque' } ], @text)
        if $name eq 'think';

    return (@text,
            [ { type => 'tool_use', id => 'toolu_1', name => 'weather',
                input => {} },
              map { { type => 'input_json_delta', partial_json => $_ } }
              '', '{"at":', "\"R\x{c3}\x{b4}me\"}" ],
            [ { type => 'tool_use', id => 'toolu_2', name => 'now',
                input => {} } ])
        if $name eq 'tools';

    return @text;
}


sub reason {
    my ($name) = @_;

    return $name eq 'tools' ? ('tool_use')
         : $name eq 'stop' ? ('stop_sequence', '##')
         : $name eq 'pause' ? ('pause_turn')
         : $name eq 'refuse' ? ('refusal') : ('end_turn');
}


# event streams, each event as text with "eol" at its lines

sub events {
    my ($request, $name, $eol, $secret, $words, %arg) = @_;

    return map { my ($type) = /^\{"type":"(\w+)"/;
                 "event: $type${eol}data: $_$eol$eol" } split /\n/, $arg{text}
        if $name eq 'raw' && $arg{text} =~ /^\{"type"/;

    my @events = $name eq 'raw'
        ? map { $json->decode($_) } split /\n/, $arg{text}
        : message_events($request, $name, @$words);

    splice @events, $arg{at} // 4, 0, { type => 'error', error => {
        type => $arg{type} || 'api_error', message => $secret } }
        if $name eq 'error';

    splice @events, 4, 0, { type => 'content_block_delta', index => 0,
        delta => { type => 'text_delta', text => 'x' x ($arg{size} || 1) } }
        if $name eq 'big';

    pop @events if $name eq 'short';
    pop @events if $name eq 'short' && !$arg{told};

    my @text = map { "event: $_->{type}${eol}data: " . $json->encode($_)
                     . "$eol$eol" } @events;

    splice @text, 4, 0, "event: x${eol}data: not JSON$eol$eol"
        if $name eq 'garbage';

    return @text;
}


sub message_events {
    my ($request, $name, @words) = @_;

    my ($reason, $sequence) = reason($name);
    my $index = 0;
    my @events = ({ type => 'message_start', message => {
        id => 'msg_fake', type => 'message', role => 'assistant',
        model => $request->{model}, content => [], stop_reason => undef,
        stop_sequence => undef, usage => usage(1) } });

    for my $block (blocks($name, @words)) {
        my ($start, @deltas) = @$block;

        push @events, { type => 'content_block_start', index => $index,
                        content_block => $start },
             ($index ? () : { type => 'ping' }),
             (map { { type => 'content_block_delta', index => $index,
                      delta => $_ } } @deltas),
             { type => 'content_block_stop', index => $index };
        $index++;
    }

    return @events,
           { type => 'message_delta',
             delta => { stop_reason => $reason, stop_sequence => $sequence },
             usage => { output_tokens => scalar @words } },
           { type => 'message_stop' };
}


sub reply {
    my ($request, $name, $secret, @words) = @_;

    return { type => 'error', error => { type => 'api_error',
                                         message => $secret } }
        if $name eq 'error';

    my ($reason, $sequence) = reason($name);
    my @content;

    for my $block (blocks($name, @words)) {
        my ($start, @deltas) = @$block;
        my %whole = %$start;
        my $input = '';

        for my $delta (@deltas) {
            $whole{$_} .= $delta->{$_}
                for grep { exists $delta->{$_} } qw(text thinking signature);
            $input .= $delta->{partial_json} // '';
        }

        # the fake's strings are bytes
        $whole{input} = { at => "R\x{c3}\x{b4}me" } if $input ne '';
        push @content, \%whole;
    }

    return { id => 'msg_fake', type => 'message', role => 'assistant',
             model => $request->{model}, content => \@content,
             stop_reason => $reason, stop_sequence => $sequence,
             usage => usage(scalar @words) };
}


# -- the client

# {text, thinking, signature, redacted, calls, end, sequence, usage, order,
#  error}: what a stream, or a whole answer, has said

sub parse {
    my ($body, $stream) = @_;

    my %out = (text => '', thinking => '', calls => [], blocks => [],
               order => '');

    return parse_message($read->decode($body), \%out) if !$stream;

    for my $event (split /\r?\n\r?\n/, $body) {
        next if $event =~ /^:/;

        my ($name) = $event =~ /^event: (\w+)/m;
        my ($data) = $event =~ /^data: (.*)/m;
        my $what = eval { $read->decode($data // '') };

        if (!$what || $what->{type} ne ($name // '')) {
            $out{broken}++;
            next;
        }

        parse_event($what, \%out);
    }

    return parse_message({ content => $out{blocks} }, \%out);
}


sub parse_event {
    my ($what, $out) = @_;

    my %letters = (message_start => 'M', content_block_start => '(',
                   content_block_stop => ')', message_delta => 'D',
                   message_stop => '.', error => '!', ping => 'p');
    my $type = $what->{type};

    $out->{order} .= $letters{$type} // '';

    if ($type eq 'message_start') {
        $out->{usage} = $what->{message}{usage};
        $out->{model} = $what->{message}{model};
        $out->{id} = $what->{message}{id};

    } elsif ($type eq 'content_block_start') {
        $out->{blocks}[$what->{index}] = { %{ $what->{content_block} } };

    } elsif ($type eq 'content_block_delta') {
        my $block = $out->{blocks}[$what->{index}];
        my $delta = $what->{delta};

        $block->{$_} .= $delta->{$_}
            for grep { exists $delta->{$_} }
                qw(text thinking signature partial_json);

    } elsif ($type eq 'message_delta') {
        @$out{qw(end sequence)} =
            @{ $what->{delta} }{qw(stop_reason stop_sequence)};
        $out->{usage} = { %{ $out->{usage} }, %{ $what->{usage} } };

    } elsif ($type eq 'error') {
        $out->{error} = $what->{error};
    }

    return;
}


sub parse_message {
    my ($message, $out) = @_;

    for my $block (@{ $message->{content} }) {
        my $type = $block->{type};

        if ($type eq 'text') {
            $out->{text} .= $block->{text};

        } elsif ($type eq 'thinking') {
            $out->{thinking} .= $block->{thinking};
            $out->{signature} .= $block->{signature};

        } elsif ($type eq 'redacted_thinking') {
            $out->{redacted} .= $block->{data};

        } elsif ($type eq 'tool_use') {
            push @{ $out->{calls} }, [ @$block{qw(id name)},
                defined $block->{partial_json}
                ? eval { JSON::PP->new->decode($block->{partial_json}) }
                : $block->{input} ];
        }
    }

    $out->{$_->[0]} = $message->{$_->[1]}
        for grep { exists $message->{$_->[1]} }
            [ end => 'stop_reason' ], [ sequence => 'stop_sequence' ],
            [ usage => 'usage' ], [ model => 'model' ], [ id => 'id' ];

    return $out;
}


1;
