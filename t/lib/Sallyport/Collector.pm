package Sallyport::Collector;

=head1 NAME

Sallyport::Collector - a fake collector of OTLP/HTTP, with faults

=head1 SYNOPSIS

    my $c = Sallyport::Collector->new($t->port(2), $t->dir);

    $c->fault('status=503', 'retry=1');   # from now on; without one, none
    $c->posts;                            # [{path, headers, body, json}, ...]
    $c->spans;                            # of all that were taken, in order
    $c->stop;

Faults: C<status=N>, with C<retry=S> a Retry-After; C<body=TEXT>; C<close>, the
connection; C<hang>, there is no answer; C<once>, only for the next call.

=cut

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();

use Sallyport::File;
use Time::HiRes ();


my $json = JSON::PP->new->canonical->utf8;


sub new {
    my ($class, $port, $dir) = @_;

    my $self = bless { port => $port, dir => "$dir/collector" }, $class;

    mkdir $self->{dir};
    $self->start;

    return $self;
}


sub start {
    my ($self) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$self->{port}",
                                       Listen => 64, ReuseAddr => 1)
        or die "no socket: $!\n";

    $self->{owner} = $$;
    $self->{pid} = fork;
    die "cannot fork: $!\n" unless defined $self->{pid};

    return if $self->{pid};

    local $SIG{PIPE} = 'IGNORE';
    local $SIG{TERM} = 'DEFAULT';

    eval { $self->serve($listen) };
    warn $@ if $@;
    POSIX::_exit(1);
}


sub fault {
    my ($self, @faults) = @_;
    write_file("$self->{dir}/fault", join "\n", @faults);
    return;
}


sub posts {
    my ($self) = @_;
    return map { $json->decode($_) } split /\n/,
           read_file("$self->{dir}/posts");
}


sub spans {
    my ($self) = @_;
    return map { @{ $_->{json}{resourceSpans}[0]{scopeSpans}[0]{spans} } }
           grep { $_->{taken} } $self->posts;
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
        }
    }

    return;
}


# 0: the connection is to be closed

sub take {
    my ($self, $fh, $text) = @_;

    while ($$text =~ m{\A(.*?)\r\n\r\n}s) {
        my ($head, $begin) = ($1, $+[0]);
        my ($line, @lines) = split /\r\n/, $head;
        my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @lines;
        my $length = $headers{'content-length'} || 0;

        if (lc($headers{expect} || '') eq '100-continue') {
            syswrite $fh, "HTTP/1.1 100 Continue\r\n\r\n" if !$self->{said}++;
        }

        last if length $$text < $begin + $length;

        delete $self->{said};

        my $body = substr $$text, $begin, $length;
        $$text = substr $$text, $begin + $length;

        my ($taken, $answer) = $self->answer;

        append_file("$self->{dir}/posts", $json->encode(
            { path => (split / /, $line)[1], method => (split / /, $line)[0],
              headers => \%headers, at => Time::HiRes::time(), body => $body,
              taken => $taken,
              json => eval { $json->decode($body) } }) . "\n");

        return 0 unless defined $answer;
        syswrite $fh, $answer if length $answer;
    }

    return 1;
}


sub answer {
    my ($self) = @_;

    my ($status, $more, $body) = (200, '', '{"partialSuccess":{}}');
    my @faults = split /\n/, read_file("$self->{dir}/fault");

    $self->fault if grep { $_ eq 'once' } @faults;

    for (@faults) {
        return (0, undef) if $_ eq 'close';
        return (0, '') if $_ eq 'hang';

        $status = $1 if /^status=(\d+)/;
        $more .= "Retry-After: $1\r\n" if /^retry=(.*)/;
        $body = $1 if /^body=(.*)/s;
    }

    return ($status == 200 ? 1 : 0,
            "HTTP/1.1 $status x\r\nContent-Type: application/json\r\n$more"
            . 'Content-Length: ' . length($body) . "\r\n\r\n$body");
}


sub stop {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;

    local ($?, $!);
    kill 'TERM', $self->{pid};
    waitpid delete $self->{pid}, 0;
    return;
}


sub DESTROY {
    my ($self) = @_;
    $self->stop;
    return;
}

1;
