package Sallyport::Llm;

# What the tests of the LLM leg have in common: a gateway in front of the
# fake provider.

use strict;
use warnings;

use JSON::PP;
use Sallyport::Provider;
use Sallyport::Test;


our $json = JSON::PP->new->canonical->utf8;


# gateway(http => ..., location => ..., read_timeout => ..., server => ...,
# prepare => sub): (test, provider)

sub gateway {
    my (%arg) = @_;

    my $t = Sallyport::Test->new;
    my $p = Sallyport::Provider->new($t->port(1), $t->dir);

    $t->file('key', "sk-test-0123456789abcdef\n", 0600);

    $_ = defined $_ ? $_ : '' for @arg{qw(http location server)};
    $arg{read_timeout} ||= '1s';

    $t->conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    error_format openai;

    llm_provider fake {
        dialect openai;
        url http://127.0.0.1:%%PORT1%%/v1;
        key_file %%DIR%%/key;
        connect_timeout 1s;
        read_timeout $arg{read_timeout};
        model real-model as=default;
        model real-small as=small context=200;
        model real-embed as=embedding kind=embedding;
        model real-hidden as=hidden internal;
    }

    $arg{http}

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location = /v1/chat/completions {
            llm_pass default;
            $arg{location}
        }

        location = /v1/embeddings { llm_embeddings embedding; }
        location /v1/models { llm_models; }
        location = /metrics { metrics; }
        $arg{server}
    }
}
EOF

    $arg{prepare}->($t) if $arg{prepare};

    $t->run;
    return ($t, $p);
}


# a request body; options are members of it

sub body {
    my ($text, %more) = @_;

    return { model => 'default', %more,
             messages => $more{messages}
                         || [ { role => 'user', content => $text } ] };
}


# the text, the finish reason, usage and error of a stream

sub parse {
    my ($body) = @_;

    my %out = (text => '', chunks => 0, usage => undef, done => 0);

    for my $event (split /\r\n\r\n|\n\n|\r\r/, defined $body ? $body : '') {
        my @data = map { /^data:\s?(.*)$/s ? $1 : () }
                   split /\r\n|\n|\r/, $event;

        next unless @data;

        my $data = join "\n", @data;

        if ($data eq '[DONE]') {
            $out{done}++;
            next;
        }

        my $chunk = eval { $json->decode($data) };

        if (!$chunk) {
            $out{broken}++;
            next;
        }

        $out{error} = $chunk->{error} if $chunk->{error};
        $out{usage} = $chunk->{usage} if $chunk->{usage};
        $out{chunks}++;

        my $choice = ($chunk->{choices} || [])->[0] or next;

        $out{text} .= $choice->{delta}{content}
            if defined $choice->{delta}{content};
        $out{finish} = $choice->{finish_reason} if $choice->{finish_reason};
    }

    return \%out;
}


# what Provider says when nothing else is asked for
our $hello = "Hello \x{e9} \x{1f600} \"quoted\"\nend.";


# a counter of /metrics

sub metric {
    my ($t, $name, $labels) = @_;

    my $text = $t->get('/metrics')->{body};

    $labels = $labels ? "{$labels}" : '';
    return $text =~ /^\Q$name$labels\E (\S+)$/m ? $1 : undef;
}


1;
