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

POST /v1/chat/completions makes a memory of every "12 user: My ..." line,
/v1/embeddings a vector of 256 numbers for each text, or 400 when one of them
says "poison".

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


sub mark {
    my ($self, $name) = @_;
    open my $fh, '>', "$self->{file}/$name" or die "gate: $!\n";
    close $fh;
    return;
}


sub open { $_[0]->mark('open'); return }

sub shut { unlink "$_[0]{file}/open"; return }

sub nonsense { $_[0]->mark('nonsense'); return }

sub refuse {
    my ($self, $on) = @_;
    return $on ? $self->mark('refuse') : unlink "$self->{file}/refuse";
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

    $self->mark("request-$$");

    # waits: a poll, of the file by which the test opens it; the test ends
    # this process if it never does
    sleep 0.01 until -e "$self->{file}/open";

    my $request = $json->decode($body);

    if ($head =~ m{/embeddings }
        && (-e "$self->{file}/refuse"
            || grep { /poison/ } @{ $request->{input} }))
    {
        print {$client} "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
            . "Connection: close\r\n\r\n";
        close $client;
        return;
    }

    my $answer = $head =~ m{/embeddings } ? embeddings($request)
               : -e "$self->{file}/nonsense" ? complete('Sorry, I cannot.')
               : complete($json->encode({ memories => memories($request) }));

    print {$client} "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($answer)
        . "\r\nConnection: close\r\n\r\n$answer";
    close $client;
    return;
}


sub complete {
    my ($text) = @_;
    utf8::decode($text);
    return $json->encode({ choices => [ { index => 0, message =>
        { role => 'assistant', content => $text } } ] });
}


sub memories {
    my ($request) = @_;

    my @found;

    for (split /\n/, $request->{messages}[-1]{content}) {
        push @found, { op => 'add', ref => undef, text => $2, kind =>
                       'profile', subject => 'user', importance => 6,
                       event_on => undef, src_seq => $1 + 0 }
            if /^(\d+) user: (My .+)/;
    }

    return \@found;
}


sub embeddings {
    my ($request) = @_;

    my $n = @{ $request->{input} };

    return $json->encode({ data => [ map {
        { index => $_, embedding => [ map { $_ / 256 } 1 .. 256 ] }
    } reverse 0 .. $n - 1 ] });
}


1;
