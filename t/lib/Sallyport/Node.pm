package Sallyport::Node;

=head1 NAME

Sallyport::Node - a fake node of chains, with faults

=head1 SYNOPSIS

    my $node = Sallyport::Node->new($t->port(1), $t->dir);

    my $url = $node->url('one');          # an endpoint of its own
    $node->fault(one => 'status=429');    # from now on; without it, none
    $node->calls;                         # ('one eth_chainId 1', ...)
    $node->open;                          # connections

Each path is an endpoint of chain 7.  C<echo> answers its params, C<nothing>
null, any other method "0x1".  Faults, of all methods but eth_chainId, and with
"chain:" before them of that one alone:

    answer=JSON   this result
    body=TEXT     this body; $ID is the id of the call
    close         the connection is closed
    hang          there is no answer
    large         a result of 4096 bytes
    status=N      this status, with body=TEXT behind it or a page

=cut

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();

use Sallyport::File;
use Sallyport::Server;
use Sallyport::Test;


my $json = JSON::PP->new->canonical->allow_nonref;


sub new {
    my ($class, $port, $dir) = @_;

    my $self = bless { port => $port, dir => "$dir/node" }, $class;

    mkdir $self->{dir};

    my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port",
                                       Listen => 64, ReuseAddr => 1)
        or die "no socket: $!\n";

    $self->{owner} = $$;
    $self->{pid} = fork;
    die "cannot fork: $!\n" unless defined $self->{pid};

    return $self if $self->{pid};

    local $SIG{PIPE} = 'IGNORE';
    local $SIG{TERM} = 'DEFAULT';

    eval { $self->serve($listen) };
    warn $@ if $@;
    POSIX::_exit(1);
}


sub url { return "http://127.0.0.1:$_[0]{port}/$_[1]" }

sub open { return -s "$_[0]{dir}/open" || 0 }


sub fault {
    my ($self, $path, @faults) = @_;
    write_file("$self->{dir}/fault-$path", join "\n", @faults);
    return;
}


# what was called since the last time

sub calls {
    my ($self) = @_;

    my @all = split /\n/, read_file("$self->{dir}/calls");
    my @new = @all[($self->{seen} || 0) .. $#all];

    $self->{seen} = @all;
    return @new;
}


sub serve {
    my ($self, $listen) = @_;

    my $select = IO::Select->new($listen);
    my %text;

    for (;;) {
        for my $fh ($select->can_read) {
            if ($fh == $listen) {
                my $c = $listen->accept or next;

                $select->add($c);
                $text{$c} = '';

            } elsif (!sysread($fh, $text{$fh}, 65536, length $text{$fh})
                     || !$self->take($fh, \$text{$fh}))
            {
                $select->remove($fh);
                delete $text{$fh};
                close $fh;
            }

            # a byte for each connection
            write_file("$self->{dir}/open", 'x' x keys %text);
        }
    }

    return;
}


# 0: the connection is to be closed

sub take {
    my ($self, $fh, $text) = @_;

    while ($$text =~ m{\APOST /(\S+) .*?\r\nContent-Length: (\d+)(?:\r\n.*?)?\r\n\r\n}si) {
        my ($path, $length, $head) = ($1, $2, $+[0]);

        last if length $$text < $head + $length;

        my $call = $json->decode(substr $$text, $head, $length);

        $$text = substr $$text, $head + $length;
        append_file("$self->{dir}/calls", "$path $call->{method} $call->{id}\n");

        my $answer = $self->answer($path, $call);

        return 0 unless defined $answer;
        syswrite $fh, $answer if length $answer;
    }

    return 1;
}


sub answer {
    my ($self, $path, $call) = @_;

    my $check = $call->{method} eq 'eth_chainId';
    my $result = $check ? '"0x7"' : $call->{method} eq 'nothing' ? 'null'
                 : $call->{method} eq 'echo' ? $json->encode($call->{params})
                 : '"0x1"';
    my ($status, $body) = (200, undef);

    for (split /\n/, read_file("$self->{dir}/fault-$path")) {
        next if $check != s/^chain://;

        return undef if /^close$/;
        return ''    if /^hang$/;

        $result = '"' . 'x' x 4096 . '"' if /^large$/;
        $result = $1 if /^answer=(.*)/;
        $body = $1 if /^body=(.*)/;
        ($status, $body) = ($1, '<html>') if /^status=(\d+)/;
    }

    $body = qq({"jsonrpc":"2.0","id":\$ID,"result":$result})
        unless defined $body;
    $body =~ s/\$ID/$call->{id}/;

    return "HTTP/1.1 $status x\r\nContent-Type: application/json\r\n"
           . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;

    local ($?, $!);
    kill 'TERM', $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

1;
