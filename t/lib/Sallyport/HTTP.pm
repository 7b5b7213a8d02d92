package Sallyport::HTTP;

# A small HTTP/1.1 client that hides nothing: requests go out byte for byte,
# replies may be read piece by piece, and every wait has a deadline.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use Time::HiRes qw(sleep time);


my $json = JSON::PP->new->utf8->allow_nonref;


# connect(address => '127.0.0.1:80' | '/path/of.sock', timeout => seconds)

sub connect {
    my ($class, %arg) = @_;

    my $socket = $arg{address} =~ m{^/}
        ? IO::Socket::UNIX->new(Peer => $arg{address})
        : IO::Socket::INET->new(PeerAddr => $arg{address}, Proto => 'tcp',
                                Timeout => 5);

    die "cannot connect to $arg{address}: $!\n" unless $socket;

    $socket->blocking(0);

    return bless {
        socket  => $socket,
        ports   => $arg{address} =~ m{^/}
                   ? [] : [ $socket->sockport, $socket->peerport ],
        timeout => $arg{timeout} || 10,
        raw     => '',          # received, not yet decoded
        body    => '',          # decoded, not yet taken
        eof     => 0,           # the peer closed
        done    => 0,           # the reply is complete
    }, $class;
}


# one request as a string; Content-Length is added for a body

sub message {
    my ($method, $path, $headers, $body) = @_;

    my %h = %{ $headers || {} };
    my %seen = map { lc($_) => 1 } keys %h;
    my $out = "$method $path HTTP/1.1\r\n";

    $h{Host} = 'localhost' unless $seen{host};
    $h{Connection} = 'close' unless $seen{connection};
    $h{'Content-Length'} = length $body
        if defined $body && !$seen{'content-length'}
           && !$seen{'transfer-encoding'};

    for my $name (sort keys %h) {
        my $values = ref $h{$name} ? $h{$name} : [ $h{$name} ];
        $out .= "$name: $_\r\n" for grep { defined } @$values;
    }

    return $out . "\r\n" . (defined $body ? $body : '');
}


sub send {
    my ($self, $bytes) = @_;

    my $deadline = time + $self->{timeout};
    my $socket = $self->{socket};

    # a server may answer and close before it has read all: then the answer
    # counts, not the broken pipe
    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $left = $deadline - time;

        die "timeout while sending\n"
            if $left <= 0 || !IO::Select->new($socket)->can_write($left);

        my $n = syswrite $socket, $bytes;

        if (!defined $n) {
            next if $!{EAGAIN} || $!{EINTR};
            last;
        }

        substr($bytes, 0, $n) = '';
    }

    return $self;
}


# reads what there is, waiting until the deadline; false: nothing came

sub fill {
    my ($self, $deadline) = @_;

    return 0 if $self->{eof};

    my $left = $deadline - time;

    return 0 if $left <= 0
                || !IO::Select->new($self->{socket})->can_read($left);

    my $n = sysread $self->{socket}, my $bytes, 65536;

    if (!defined $n) {
        return 1 if $!{EAGAIN} || $!{EINTR};
        $self->{reset} = 1;
        $n = 0;
    }

    if ($n == 0) {
        $self->{eof} = 1;
        return 0;
    }

    $self->{raw} .= $bytes;
    return 1;
}


# waits for the head of a reply: { status, reason, headers }

sub head {
    my ($self, $timeout) = @_;

    return $self->{head} if $self->{head};

    my $deadline = time + ($timeout || $self->{timeout});

    while ($self->{raw} !~ /\r\n\r\n/) {
        next if $self->fill($deadline);
        die $self->{eof} ? "connection closed before the reply\n"
                         : "timeout while waiting for the reply\n";
    }

    my ($head, $rest) = split /\r\n\r\n/, $self->{raw}, 2;
    my ($first, @lines) = split /\r\n/, $head;

    my ($status, $reason) = $first =~ m{^HTTP/1\.[01] ([0-9]{3}) ?(.*)}
        or die "not a status line: $first\n";

    $self->{raw} = $rest;

    if ($status < 200 && $status != 101) {
        return $self->head($deadline - time);
    }

    my (%headers, %all);

    for (@lines) {
        my ($name, $value) = /^([^:\s]+):[ \t]*(.*?)[ \t]*$/
            or die "not a header: $_\n";
        push @{ $all{lc $name} }, $value;
    }

    $headers{$_} = join ', ', @{ $all{$_} } for keys %all;

    $self->{chunked} = ($headers{'transfer-encoding'} || '') =~ /chunked/i;
    $self->{left} = $headers{'content-length'};
    $self->{left} = 0 if $status == 204 || $status == 304 || $self->{bodyless};
    $self->{chunked} = 0 if defined $self->{left};

    return $self->{head} = { status => $status + 0, reason => $reason,
                             headers => \%headers, all => \%all };
}


# moves bytes from raw to body as the framing says

sub decode {
    my ($self) = @_;

    return if $self->{done};

    if (defined $self->{left}) {
        my $n = length $self->{raw};
        $n = $self->{left} if $n > $self->{left};
        $self->{body} .= substr($self->{raw}, 0, $n, '');
        $self->{left} -= $n;
        $self->{done} = 1 if $self->{left} == 0;
        return;
    }

    if (!$self->{chunked}) {
        $self->{body} .= $self->{raw};
        $self->{raw} = '';
        $self->{done} = 1 if $self->{eof} && !$self->{reset};
        return;
    }

    for ( ;; ) {
        if (!defined $self->{chunk}) {
            $self->{raw} =~ s/^([0-9A-Fa-f]+)[^\r\n]*\r\n// or return;
            $self->{chunk} = hex $1;
        }

        if ($self->{chunk} == 0) {
            $self->{done} = 1 if $self->{raw} =~ s/^\r\n//;
            return;
        }

        return if length $self->{raw} < $self->{chunk} + 2;

        $self->{body} .= substr($self->{raw}, 0, $self->{chunk}, '');
        $self->{raw} =~ s/^\r\n// or die "bad chunk\n";
        undef $self->{chunk};
    }
}


# the status and the headers of a stream

sub status { return $_[0]->head->{status} }

sub header { return $_[0]->head->{headers}{lc $_[1]} }


# returns the body up to and with the first match of the pattern; undef when
# the body ends or the deadline passes before (what came stays for rest())

sub read_until {
    my ($self, $pattern, $timeout) = @_;

    my $deadline = time + ($timeout || $self->{timeout});

    $self->head($timeout);

    for ( ;; ) {
        $self->decode;

        if ($self->{body} =~ /$pattern/) {
            return substr $self->{body}, 0, $+[0], '';
        }

        return undef if $self->{done};

        if (!$self->fill($deadline)) {
            return undef if !$self->{eof} || $self->{ended}++;
        }
    }
}


# the remaining body; {complete} tells whether the framing ended properly

sub rest {
    my ($self, $timeout) = @_;

    my $deadline = time + ($timeout || $self->{timeout});

    $self->head($timeout);
    $self->decode;

    while (!$self->{done}) {
        if (!$self->fill($deadline)) {
            $self->decode if $self->{eof};
            last;
        }

        $self->decode;
    }

    $self->{complete} = $self->{done};
    return substr $self->{body}, 0, length $self->{body}, '';
}


# true when the peer closes before the deadline

sub closed {
    my ($self, $timeout) = @_;

    my $deadline = time + ($timeout || $self->{timeout});

    1 while $self->fill($deadline);
    return $self->{eof};
}


sub close {
    my ($self, %arg) = @_;

    my $socket = delete $self->{socket} or return;

    # abrupt: RST instead of FIN, as a vanished client looks
    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
               pack('ii', 1, 0) if $arg{abrupt};

    CORE::close $socket;
    return;
}


# The other end in /proc/net/tcp: its state there, and the bytes on the way to
# it that it has not read; nothing when it is gone.

my ($established, $close_wait) = qw(01 08);

sub peer {
    my ($self) = @_;

    my ($ours, $theirs) = map { sprintf ':%04X', $_ } @{ $self->{ports} };
    my ($state, $unread) = (undef, 0);

    open my $table, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!\n";

    while (my $line = <$table>) {
        my (undef, $local, $remote, $st, $queues) = split ' ', $line;
        my ($unsent, $received) = split /:/, $queues;

        if ($local =~ /$ours$/ && $remote =~ /$theirs$/) {
            $unread += hex $unsent;

        } elsif ($local =~ /$theirs$/ && $remote =~ /$ours$/) {
            $state = $st;
            $unread += hex $received;
        }
    }

    return ($state, $unread);
}


sub wait_peer {
    my ($self, $what, $check) = @_;

    my $deadline = time + $self->{timeout};

    until ($check->($self->peer)) {
        die "the server does not $what\n" if time > $deadline;
        sleep 0.005;    # waits: a poll, the kernel tells nobody
    }

    return $self;
}


# waits until the server has read what was sent, and so has begun to work on it

sub taken {
    my ($self) = @_;

    return $self->wait_peer('read', sub { !defined $_[0] || !$_[1] });
}


# closes, and waits until the server has seen it and closed too

sub leave {
    my ($self) = @_;

    $self->close;
    return $self->wait_peer('close', sub {
        !defined $_[0] || $_[0] ne $established && $_[0] ne $close_wait;
    });
}


# the whole reply: { status, reason, headers, all, body, json, complete }

sub reply {
    my ($self) = @_;

    my $res = { %{ $self->head } };

    $res->{body} = $self->rest;
    $res->{complete} = $self->{complete};
    $res->{json} = decode_json_or_undef($res->{body});

    return $res;
}


# the next request on a kept connection

sub again {
    my ($self) = @_;

    delete @$self{qw(head left chunk chunked ended)};
    $self->{done} = 0;
    return $self;
}


sub decode_json_or_undef {
    my ($text) = @_;
    return undef unless defined $text && $text =~ /^\s*[\{\[]/;
    return eval { $json->decode($text) };
}


sub encode { return $json->encode($_[0]) }


# the same request by curl over HTTP/2 with prior knowledge

sub curl_http2 {
    my (%arg) = @_;

    my @cmd = ('curl', '-sS', '--http2-prior-knowledge', '-i', '-N',
               '--max-time', $arg{timeout} || 10, '-X', $arg{method});
    my %h = %{ $arg{headers} || {} };
    my $out = '';

    push @cmd, '-I' if $arg{method} eq 'HEAD';

    for my $name (sort keys %h) {
        push @cmd, '-H', "$name: $_"
            for grep { defined } ref $h{$name} ? @{ $h{$name} } : $h{$name};
    }

    if (defined $arg{body}) {
        push @cmd, '-H', 'Content-Type:'
            unless grep { lc $_ eq 'content-type' } keys %h;
        push @cmd, '-H', 'Expect:', '--data-binary', '@' . $arg{body_file};
    }

    my $pid = open my $pipe, '-|', @cmd, "http://$arg{address}$arg{path}"
        or die "cannot run curl: $!\n";

    binmode $pipe;
    { local $/; $out = <$pipe>; }
    CORE::close $pipe;

    my $status = $? >> 8;
    my ($head, $body, $code, %all, %headers);

    # interim replies come first
    for ( ;; ) {
        ($head, $body) = split /\r\n\r\n/, $out, 2;
        ($code) = ($head || '') =~ m{^HTTP/2 ([0-9]{3})}
            or die "curl failed with $status: $out\n";
        last if $code >= 200;
        $out = $body;
    }

    push @{ $all{lc $1} }, $2 while $head =~ /^([^:\s]+):[ ]*(.*?)\r?$/mg;
    $headers{$_} = join ', ', @{ $all{$_} } for keys %all;

    return { status => $code + 0, headers => \%headers, all => \%all,
             body => $body, json => scalar decode_json_or_undef($body),
             complete => $status == 0 };
}


1;
