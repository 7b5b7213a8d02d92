package Sallyport::HTTP2;

=head1 NAME

Sallyport::HTTP2 - HTTP/2 by hand, where curl hides what happens

=head1 SYNOPSIS

    my $c = Sallyport::HTTP2->connect("127.0.0.1:$port");
    my $id = $c->request('POST', '/x', { 'Content-Type' => '..' }, $body);
    my $res = $c->reply($id);    # { status, headers, body, json, complete }
    $c->reset($id);                      # the client leaves this stream

An answer that comes before the whole body was taken is read as well: curl
takes the reset of a stream that sends on for an error.

=cut

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

use Sallyport::HTTP;


# HPACK: what NGINX uses of the static table, and of Huffman's code the
# characters of a header; the code is canonical, so that their order by length
# is all of it

my %static = (8 => [ ':status', 200 ], 9 => [ ':status', 204 ],
              10 => [ ':status', 206 ], 11 => [ ':status', 304 ],
              12 => [ ':status', 400 ], 13 => [ ':status', 404 ],
              14 => [ ':status', 500 ], 26 => [ 'content-encoding' ],
              28 => [ 'content-length' ], 31 => [ 'content-type' ],
              33 => [ 'date' ], 44 => [ 'last-modified' ],
              46 => [ 'location' ], 54 => [ 'server' ], 59 => [ 'vary' ]);

my %huffman = do {
    my @by_length = (5 => '012aceiost', 6 => ' %-./3456789=A_bdfghlmnpru',
        7 => ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz', 8 => '&*,;XZ',
        10 => '!"()?', 11 => q{'+|}, 12 => '#>', 13 => "\0\$\@[]~",
        14 => '^}', 15 => '<`{');
    my ($code, $bits, %all) = (0, 0);

    while (my ($length, $chars) = splice @by_length, 0, 2) {
        $code <<= $length - $bits;
        $bits = $length;
        $all{sprintf '%0*b', $bits, $code++} = $_ for split //, $chars;
    }

    %all;
};


sub connect {
    my ($class, $address) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => $address, Timeout => 5)
        or die "cannot connect to $address: $!\n";

    my $self = bless { socket => $socket, raw => '', next => 1, window => {},
                       streams => {}, initial => 65535 }, $class;

    $self->{window}{0} = 65535;

    # our window never stops a reply
    $self->bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                 . frame(4, 0, 0, pack('nN', 4, 0x7fffffff))
                 . frame(8, 0, 0, pack('N', 0x3fffffff)));
    return $self;
}


sub frame {
    my ($type, $flags, $id, $payload) = @_;
    return substr(pack('N', length $payload), 1)
           . pack('CCN', $type, $flags, $id) . $payload;
}


sub bytes {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    return print { $self->{socket} } $bytes;
}


# one request on a connection of its own, as Sallyport::HTTP::curl_http2();
# "hold", an array, keeps the connection open for what goes on after the reply

sub once {
    my (%arg) = @_;

    my $self = __PACKAGE__->connect($arg{address});
    my $id = $self->request(@arg{qw(method path)}, $arg{headers} || {},
                            $arg{body});
    my $res = $self->reply($id, $arg{timeout});

    $arg{hold} ? push @{ $arg{hold} }, $self : $self->close;
    return $res;
}


# a literal header that is not indexed, without Huffman's code

sub literal {
    my ($name, $value) = @_;
    return "\0" . string(lc $name) . string($value);
}


sub string {
    my ($s) = @_;

    my $n = length $s;

    return chr($n) . $s if $n < 127;

    my $head = chr 127;

    for ($n -= 127; $n >= 128; $n >>= 7) {
        $head .= chr($n & 127 | 128);
    }

    return $head . chr($n) . $s;
}


# sends the headers, and of the body what the peer's windows let through

sub request {
    my ($self, $method, $path, $headers, $body) = @_;

    my $id = $self->begin($method, $path, $headers, !defined $body);

    $self->send_body($id, $body) if defined $body;
    return $id;
}


# the headers alone; without "end" a body follows, by send_body()

sub begin {
    my ($self, $method, $path, $headers, $end) = @_;

    my $id = $self->{next};
    my $block = literal(':method', $method) . literal(':path', $path)
                . literal(':scheme', 'http')
                . literal(':authority', 'localhost');

    $self->{next} += 2;
    $self->{window}{$id} = $self->{initial};
    $self->{streams}{$id} = { body => '' };

    for my $name (sort keys %$headers) {
        $block .= literal($name, $headers->{$name});
    }

    $self->bytes(frame(1, $end ? 5 : 4, $id, $block));
    return $id;
}


sub send_body {
    my ($self, $id, $body) = @_;

    my $deadline = time + 10;
    my $s = $self->{streams}{$id};

    for ( ;; ) {
        my ($n) = sort { $a <=> $b } length $body, 16384,
                  $self->{window}{0}, $self->{window}{$id};

        if ($n > 0 || !length $body) {
            my $end = $n == length $body;

            $self->{window}{$_} -= $n for 0, $id;
            $self->bytes(frame(0, $end ? 1 : 0, $id,
                               substr $body, 0, $n, ''));
            return if $end;
        }

        # no more is sent when the answer is there
        $self->take(time + ($n > 0 ? 0 : 5)) or $n > 0 or return;
        return if $s->{end} || $s->{reset} || time > $deadline;
    }
}


sub reset {
    my ($self, $id) = @_;
    $self->bytes(frame(3, 0, $id, pack 'N', 8));
    return;
}


sub close { return CORE::close $_[0]{socket} }


sub reply {
    my ($self, $id, $timeout) = @_;

    my $deadline = time + ($timeout || 10);
    my $s = $self->{streams}{$id};

    until ($s->{end} || $s->{reset}) {
        $self->take($deadline) or last;
    }

    return { status => $s->{headers}{':status'} || 0, body => $s->{body},
             headers => $s->{headers} || {},
             json => scalar Sallyport::HTTP::decode_json_or_undef($s->{body}),
             complete => $s->{end} ? 1 : 0 };
}


# reads and acts on what came; false: nothing before the deadline, or the end

sub take {
    my ($self, $deadline) = @_;

    my $left = $deadline - time;

    return 0 unless IO::Select->new($self->{socket})
                              ->can_read($left > 0 ? $left : 0);
    return 0 unless sysread $self->{socket}, $self->{raw}, 65536,
                            length $self->{raw};

    while (length $self->{raw} >= 9) {
        my $length = unpack 'N', "\0" . substr $self->{raw}, 0, 3;

        last if length $self->{raw} < 9 + $length;

        my ($type, $flags, $id) = unpack 'CCN', substr $self->{raw}, 3, 6;
        my $payload = substr $self->{raw}, 9, $length;

        substr($self->{raw}, 0, 9 + $length) = '';
        $self->act($type, $flags, $id, $payload);
    }

    return 1;
}


sub act {
    my ($self, $type, $flags, $id, $payload) = @_;

    my $s = $self->{streams}{$id} || {};

    if ($type == 0) {
        $s->{body} .= $payload;

    } elsif ($type == 1) {
        $s->{headers} = headers($payload);

    } elsif ($type == 3) {
        $s->{reset} = 1;

    } elsif ($type == 4 && !($flags & 1)) {
        while ($payload =~ /\G(..)(....)/gs) {
            next unless unpack('n', $1) == 4;

            my $delta = unpack('N', $2) - $self->{initial};

            $self->{initial} += $delta;
            $self->{window}{$_} += $delta
                for grep { $_ } keys %{ $self->{window} };
        }
        $self->bytes(frame(4, 1, 0, ''));

    } elsif ($type == 6 && !($flags & 1)) {
        $self->bytes(frame(6, 1, 0, $payload));

    } elsif ($type == 8) {
        $self->{window}{$id} += unpack 'N', $payload;
    }

    $s->{end} = 1 if $type < 2 && $flags & 1;
    return;
}


# a block of headers: { name => value }

sub headers {
    my ($block) = @_;

    my %headers;

    while (length $block) {
        my $first = ord $block;
        my $bits = $first & 0x80 ? 7 : $first & 0x40 ? 6
                   : $first & 0x20 ? 5 : 4;
        my $index = number(\$block, $bits);

        next if $bits == 5;     # the size of the table

        my ($name, $value) = $index ? @{ $static{$index} || [ "#$index" ] }
                                    : (text(\$block));

        $value = text(\$block) if $bits != 7;
        $headers{$name} = defined $headers{$name} ? "$headers{$name}, $value"
                                                  : $value;
    }

    return \%headers;
}


# a number with a prefix of so many bits

sub number {
    my ($block, $bits) = @_;

    my $max = (1 << $bits) - 1;
    my $n = ord(substr $$block, 0, 1, '') & $max;

    return $n if $n < $max;

    for (my $shift = 0; ; $shift += 7) {
        my $byte = ord substr $$block, 0, 1, '';
        $n += ($byte & 127) << $shift;
        return $n unless $byte & 128;
    }
}


sub text {
    my ($block) = @_;

    my $huffman = ord($$block) & 0x80;
    my $bytes = substr $$block, 0, number($block, 7), '';

    return $bytes unless $huffman;

    my ($text, $bits) = ('', '');

    for my $bit (split //, unpack 'B*', $bytes) {
        $bits .= $bit;
        next unless defined $huffman{$bits};
        $text .= $huffman{$bits};
        $bits = '';
    }

    # what is left fills the last byte with ones
    die "HTTP/2: a header of other characters: $text\n"
        unless $bits =~ /^1{0,7}$/;
    return $text;
}


1;
