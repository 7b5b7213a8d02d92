package Sallyport::Form;

# multipart/form-data for the tests: written for a client, read by the fake
# provider.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);


our $boundary = 'sp-test_boundary';


# the Content-Type

sub type { return { 'Content-Type' => "multipart/form-data; boundary=$boundary" } }


# encode([ name => value | { filename => ..., type => ..., data => ... } ], ...)

sub encode {
    return join('', map { part(@$_) } @_) . "--$boundary--\r\n";
}


sub part {
    my ($name, $value) = @_;

    my $head = "Content-Disposition: form-data; name=\"$name\"";

    return "--$boundary\r\n$head\r\n\r\n$value\r\n" unless ref $value;

    $head .= "; filename=\"$value->{filename}\"\r\nContent-Type: "
             . ($value->{type} || 'application/octet-stream');

    return "--$boundary\r\n$head\r\n\r\n$value->{data}\r\n";
}


# what a server sees: {name => value | {filename, type, size, sha256}}, with
# "order", the names as they came; undef: it is no form

sub decode {
    my ($type, $body) = @_;

    my ($mark) = $type =~ m{^multipart/form-data;\s*boundary="?([^";]+)"?$}i
        or return undef;

    my %form = (order => []);
    my $at = 0;

    return undef if substr($body, 0, length($mark) + 2) ne "--$mark";

    for ( ;; ) {
        $at += length($mark) + 2;
        return \%form if substr($body, $at) eq "--\r\n";
        return undef if substr($body, $at, 2) ne "\r\n";

        my $blank = index $body, "\r\n\r\n", $at;
        my $end = index $body, "\r\n--$mark", $blank + 4;

        return undef if $blank < 0 || $end < 0;

        my $head = substr $body, $at, $blank - $at;
        my $data = substr $body, $blank + 4, $end - $blank - 4;
        my ($name) = $head =~ /\bname="([^"]*)"/ or return undef;

        push @{ $form{order} }, $name;

        my ($filename) = $head =~ /filename="([^"]*)"/;
        my ($kind) = $head =~ /^Content-Type: (.*?)\r?$/mi;

        $form{$name} = defined $filename
            ? { filename => $filename, type => $kind, size => length $data,
                sha256 => sha256_hex($data) }
            : $data;

        $at = $end + 2;
    }
}


1;
