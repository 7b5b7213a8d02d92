package Sallyport::Gate;

=head1 NAME

Gate - a model for memory jobs that answers when the test says so

=head1 SYNOPSIS

    my $gate = Sallyport::Gate->new($t->port(4), $t->dir);
    $t->wait_until(sub { $gate->requests == 1 });    # it thinks now
    $gate->open;                                     # answers from now on
    $gate->shut;
    $gate->nonsense;                                 # answers, but no JSON
    $gate->refuse(1);                                # 400 for every text; 0
    $gate->fail(500);                                # that for all; 0
    $gate->fail(429, 60);                            # with Retry-After
    $gate->thrifty(1);                               # tells no usage; 0
    my ($last) = $gate->asked;                       # {head, json}, newest

POST /v1/chat/completions makes a memory of every "12 user: My ..." line,
/v1/embeddings a vector of 256 numbers for each text, or 400 when one of them
says "poison".  A chat costs 40 and 8 tokens, a text 5.  Below /say/ it speaks
the dialect of t/modules/dialect_probe.

=cut

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(sleep);


my $json = JSON::PP->new->canonical->utf8;


sub new {
    my ($class, $port, $dir) = @_;

    my $self = bless { file => "$dir/gate-$port", owner => $$ }, $class;
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 64, ReuseAddr => 1, Proto => 'tcp')
        or die "gate: $!\n";

    mkdir $self->{file} or die "gate: $!\n";

    $self->{pid} = fork;
    die "gate: $!\n" if !defined $self->{pid};

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $SIG{CHLD} = 'IGNORE';
        setpgrp;

        while (1) {
            my $client = $socket->accept or next;
            my $pid = fork;

            if (defined $pid && $pid == 0) {
                eval { $self->serve($client) };
                POSIX::_exit(0);
            }

            close $client;
        }
    }

    close $socket;
    return $self;
}


# there with its content, or not at all

sub mark {
    my ($self, $name, $content) = @_;

    CORE::open my $fh, '>', "$self->{file}/.$name" or die "gate: $!\n";
    print {$fh} defined $content ? $content : '';
    close $fh;
    rename "$self->{file}/.$name", "$self->{file}/$name" or die "gate: $!\n";
    return;
}


sub open { $_[0]->mark('open'); return }

sub shut { unlink "$_[0]{file}/open"; return }

sub nonsense { $_[0]->mark('nonsense'); return }

sub refuse {
    my ($self, $on) = @_;
    return $on ? $self->mark('refuse') : unlink "$self->{file}/refuse";
}

sub thrifty {
    my ($self, $on) = @_;
    return $on ? $self->mark('thrifty') : unlink "$self->{file}/thrifty";
}

sub fail {
    my ($self, $code, $retry) = @_;

    return unlink "$self->{file}/fail" if !$code;
    return $self->mark('fail', $code . (defined $retry ? " $retry" : ''));
}

sub asked {
    my ($self) = @_;

    my @files = map { $_->[1] } sort { $b->[0] <=> $a->[0] }
                map { [ (Time::HiRes::stat($_))[9], $_ ] }
                glob "$self->{file}/request-*";

    return map {
        my ($head, $body) = split /\r\n\r\n/, slurp($_), 2;
        { head => $head, json => $json->decode($body) }
    } @files;
}

sub slurp {
    my ($path) = @_;
    CORE::open my $fh, '<', $path or die "gate: $!\n";
    local $/;
    return scalar <$fh>;
}

sub requests { return scalar(() = glob "$_[0]{file}/request-*") }


sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    local $?;
    kill 'KILL', -$self->{pid}, $self->{pid};
    waitpid delete $self->{pid}, 0;
    return;
}


sub DESTROY { $_[0]->stop; return }


sub serve {
    my ($self, $client) = @_;

    my $in = '';

    until ($in =~ /\r\n\r\n/) { sysread $client, $in, 65536, length $in
                                    or return }

    my ($head, $body) = split /\r\n\r\n/, $in, 2;
    my ($length) = $head =~ /^Content-Length: *(\d+)/mi;

    while (length $body < $length) {
        sysread $client, $body, 65536, length $body or return;
    }

    $self->mark("request-$$", "$head\r\n\r\n$body");

    # waits: a poll, of the file by which the test opens it; the test ends
    # this process if it never does
    sleep 0.01 until -e "$self->{file}/open";

    my $request = $json->decode($body);
    my $refused = $head =~ m{/embeddings }
        && (-e "$self->{file}/refuse"
            || grep { /poison/ } @{ $request->{input} });
    my $code = -e "$self->{file}/fail" ? slurp("$self->{file}/fail")
             : $refused ? 400 : 0;

    if ($code) {
        my $retry = $code =~ s/ (\S+)$// ? "Retry-After: $1\r\n" : '';

        print {$client} "HTTP/1.1 $code X\r\nContent-Length: 0\r\n$retry"
            . "Connection: close\r\n\r\n";
        close $client;
        return;
    }

    my $usage = !-e "$self->{file}/thrifty";
    my $answer = $request->{texts} ? say_embeddings($request)
               : $head =~ m{/embeddings } ? embeddings($request, $usage)
               : -e "$self->{file}/nonsense"
                   ? complete($request, 'Sorry, I cannot.', $usage)
               : complete($request, $json->encode({
                     memories => memories($request) }), $usage);

    print {$client} "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($answer)
        . "\r\nConnection: close\r\n\r\n$answer";
    close $client;
    return;
}


sub complete {
    my ($request, $text, $usage) = @_;

    utf8::decode($text);
    return $json->encode({ said => $text,
        end => { why => 'done', in => 40, out => 8 } }) if $request->{talk};

    return $json->encode({ choices => [ { index => 0, message =>
        { role => 'assistant', content => $text } } ],
        $usage ? (usage => { prompt_tokens => 40, completion_tokens => 8,
            prompt_tokens_details => { cached_tokens => 16 } }) : () });
}


sub memories {
    my ($request) = @_;

    my @found;

    my $data = $request->{talk} ? $request->{talk}[-1]{says}
                                : $request->{messages}[-1]{content};

    for (split /\n/, $data) {
        push @found, { op => 'add', ref => undef, text => $2, kind =>
                       'profile', subject => 'user', importance => 6,
                       event_on => undef, src_seq => $1 + 0 }
            if /^(\d+) user: (My .+)/;
    }

    return \@found;
}


sub say_embeddings {
    my ($request) = @_;

    my $n = @{ $request->{texts} };
    my $length = $request->{length};

    return $json->encode({ in => 5 * $n, vectors => [ map {
        [ map { $_ / $length } 1 .. $length ] } 1 .. $n ] });
}


sub embeddings {
    my ($request, $usage) = @_;

    my $n = @{ $request->{input} };

    return $json->encode({ data => [ map {
        { index => $_, embedding => [ map { $_ / 256 } 1 .. 256 ] }
    } reverse 0 .. $n - 1 ],
    $usage ? (usage => { prompt_tokens => 5 * $n }) : () });
}


1;
