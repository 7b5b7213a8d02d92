package Sallyport::Proxy;

# A proxy between the gateway and a real server that injects faults into what
# the server answers:
#
#   my $proxy = Sallyport::Proxy->new(listen => '127.0.0.1:1234' or '/x.sock',
#                                     to => '/server.sock' or '127.0.0.1:80');
#   $proxy->mode('pass');         everything is forwarded
#   $proxy->mode('split');        answers go out one byte at a time
#   $proxy->mode('stall');        answers are held until the mode changes
#   $proxy->mode('delay', 0.1);   answers come that many seconds later
#   $proxy->mode('cut', 5);       after 5 more bytes the connections close
#   $proxy->mode('refuse');       connections are closed as soon as they come
#   $proxy->mode('mute');         connections are accepted, nothing is done
#   $proxy->drop;                 closes all connections
#   $proxy->inject("bytes");      sends bytes that nobody asked for
#   $proxy->count;                connections accepted so far
#   $proxy->open;                 connections open now
#   $proxy->held;                 answers that are held now
#
# A call returns when the proxy has done it.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Socket;
use Time::HiRes qw(time);


sub new {
    my ($class, %arg) = @_;

    my $listen = listener($arg{listen});

    socketpair(my $parent, my $child, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or die "socketpair: $!\n";

    my $pid = fork;

    die "cannot fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        close $parent;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $SIG{PIPE} = 'IGNORE';
        eval { serve($listen, $child, $arg{to}) };
        print STDERR $@ if $@;
        POSIX::_exit(0);
    }

    close $child;
    close $listen;

    return bless { pid => $pid, control => $parent, owner => $$ }, $class;
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{owner} == $$;

    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}


sub mode { my ($self, @words) = @_; return $self->ask('mode', @words) }

sub drop { return $_[0]->ask('drop') }

sub inject { return $_[0]->ask('inject', unpack 'H*', $_[1]) }

sub count { return $_[0]->ask('count') }

sub open { return $_[0]->ask('open') }

sub held { return $_[0]->ask('held') }


sub ask {
    my ($self, @words) = @_;

    local $SIG{ALRM} = sub { die "the proxy does not answer\n" };
    alarm 10;

    syswrite $self->{control}, join(' ', @words) . "\n";

    my $line = readline $self->{control};

    alarm 0;
    defined $line or die "the proxy is gone\n";
    chomp $line;
    return $line;
}


sub listener {
    my ($where) = @_;

    if ($where =~ m{^/}) {
        unlink $where;
        my $socket = IO::Socket::UNIX->new(Local => $where, Listen => 64)
            or die "$where: $!\n";
        chmod 0777, $where;
        return $socket;
    }

    return IO::Socket::INET->new(LocalAddr => $where, Listen => 64,
                                 ReuseAddr => 1)
           || die "$where: $!\n";
}


sub connect_to {
    my ($where) = @_;

    return $where =~ m{^/} ? IO::Socket::UNIX->new(Peer => $where)
                           : IO::Socket::INET->new(PeerAddr => $where);
}


# -- the process of the proxy

sub serve {
    my ($listen, $control, $to) = @_;

    my $state = { mode => 'pass', arg => 0, pairs => {}, count => 0,
                  held => [] };

    for ( ;; ) {
        my @all = ($listen, $control, map { @$_{qw(client server)} }
                                      values %{ $state->{pairs} });
        my $select = IO::Select->new(grep { defined } @all);
        my $next = next_time($state);

        for my $fh ($select->can_read($next)) {
            if ($fh == $control) {
                my $line = readline $control;
                return unless defined $line;
                chomp $line;
                syswrite $control, command($state, split / /, $line) . "\n";

            } elsif ($fh == $listen) {
                accept_one($state, $listen, $to);

            } else {
                forward($state, $fh);
            }
        }

        release($state);
    }
}


sub next_time {
    my ($state) = @_;

    return 5 unless $state->{mode} eq 'delay' && @{ $state->{held} };

    my $wait = $state->{held}[0]{at} + $state->{arg} - time;
    return $wait > 0 ? $wait : 0;
}


sub command {
    my ($state, $name, @words) = @_;

    if ($name eq 'mode') {
        @$state{qw(mode arg)} = @words;
        release($state);
        return 'ok';
    }

    return $state->{count} if $name eq 'count';
    return scalar @{ $state->{held} } if $name eq 'held';

    my @pairs = values %{ $state->{pairs} };

    return scalar @pairs if $name eq 'open';

    for my $pair (@pairs) {
        close_pair($state, $pair) if $name eq 'drop';
        syswrite $pair->{client}, pack 'H*', $words[0] if $name eq 'inject';
    }

    return 'ok';
}


sub accept_one {
    my ($state, $listen, $to) = @_;

    my $client = $listen->accept or return;

    $state->{count}++;

    if ($state->{mode} eq 'refuse') {
        close $client;
        return;
    }

    my $pair = { client => $client };

    if ($state->{mode} ne 'mute') {
        $pair->{server} = connect_to($to);

        unless ($pair->{server}) {
            close $client;
            return;
        }
    }

    setsockopt $client, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1;

    $state->{pairs}{ $client->fileno } = $pair;
    return;
}


sub forward {
    my ($state, $fh) = @_;

    my ($pair) = grep { $_->{client} == $fh
                        || ($_->{server} && $_->{server} == $fh) }
                 values %{ $state->{pairs} };

    return unless $pair;

    if (!sysread $fh, my $data, 65536) {

        # what the server said before comes first
        if ($pair->{server} && $fh == $pair->{server}
            && grep { $_->{pair} == $pair } @{ $state->{held} })
        {
            $pair->{ended} = 1;
            close delete $pair->{server};
            return;
        }

        close_pair($state, $pair);

    } elsif ($fh == $pair->{client}) {
        send_all($pair->{server}, $data) if $pair->{server};

    } else {
        push @{ $state->{held} },
             { pair => $pair, data => $data, at => time };
    }

    return;
}


# what the mode lets through

sub release {
    my ($state) = @_;

    my ($mode, $arg) = @$state{qw(mode arg)};

    while (my $piece = $state->{held}[0]) {
        last if $mode eq 'stall' || $mode eq 'mute';
        last if $mode eq 'delay' && $piece->{at} + $arg > time;

        shift @{ $state->{held} };

        my $pair = $piece->{pair};
        my $data = $piece->{data};

        next if $pair->{closed};

        if ($mode eq 'cut') {
            $data = substr $data, 0, $state->{arg};
            $state->{arg} -= length $data;
            send_all($pair->{client}, $data);
            close_pair($state, $pair) if $state->{arg} == 0;

        } elsif ($mode eq 'split') {
            for my $byte (split //, $data) {
                send_all($pair->{client}, $byte);
                # waits: so that each byte is a packet, and read alone
                select undef, undef, undef, 0.0002;
            }

        } else {
            send_all($pair->{client}, $data);
        }

        close_pair($state, $pair)
            if $pair->{ended} && !$pair->{closed}
               && !grep { $_->{pair} == $pair } @{ $state->{held} };
    }

    return;
}


sub send_all {
    my ($fh, $data) = @_;

    while (length $data) {
        my $n = syswrite $fh, $data;
        return unless $n;
        substr $data, 0, $n, '';
    }

    return;
}


sub close_pair {
    my ($state, $pair) = @_;

    delete $state->{pairs}{ $pair->{client}->fileno };

    $pair->{closed} = 1;
    close $pair->{client};
    close $pair->{server} if $pair->{server};
    return;
}


1;
