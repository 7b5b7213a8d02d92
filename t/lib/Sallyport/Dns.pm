package Sallyport::Dns;

=head1 NAME

Sallyport::Dns - a name server that says what a test wants

=head1 SYNOPSIS

    my $dns = Sallyport::Dns->new($t->dir);         # , 53) for a port
    ... resolver 127.0.0.1:@{[ $dns->port ]} ...

    $dns->say('db.test' => { ttl => 1, addrs => [ '127.0.0.1' ] });
    $dns->say('db.test' => { mode => 'nx' });       # there is no such name
    $dns->say('db.test' => { mode => 'silent' });   # no answer
    $dns->say('db.test' => { mode => 'garbage' });  # bytes that are none
    $dns->say('db.test' => { mode => 'cut' });      # half an answer
    $dns->say('db.test' => { mode => 'tcp' });      # "ask by TCP": in vain
    $dns->say('db.test' => { delay => 0.3, ... });  # and late
    $dns->count('db.test');                         # questions so far

Only A records are there; for AAAA a name is known and has none.

=cut

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep);


sub new {
    my ($class, $dir, $port) = @_;

    my $socket = IO::Socket::INET->new(Proto => 'udp', LocalPort => $port,
                                       LocalAddr => '127.0.0.1')
        or die "no UDP socket: $!\n";

    my $self = bless { port => $socket->sockport, file => "$dir/dns.json",
                       log => "$dir/dns.log", names => {}, owner => $$ },
                     $class;

    $self->save;

    my $pid = fork;

    die "cannot fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->serve($socket) };
        print STDERR $@ if $@;
        POSIX::_exit(0);
    }

    $self->{pid} = $pid;
    return $self;
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{owner} == $$ && $self->{pid};

    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}


sub port { return $_[0]{port} }


sub say {
    my ($self, $name, $answer) = @_;

    $self->{names}{$name} = $answer;
    return $self->save;
}


# A questions; each comes with one for AAAA

sub count {
    my ($self, $name) = @_;

    open my $file, '<', $self->{log} or return 0;
    return scalar grep { /^\Q$name\E 1$/ } <$file>;
}


sub save {
    my ($self) = @_;

    open my $file, '>', "$self->{file}.new" or die "$self->{file}: $!\n";
    print $file JSON::PP::encode_json($self->{names});
    close $file or die "$self->{file}: $!\n";
    rename "$self->{file}.new", $self->{file} or die "$self->{file}: $!\n";
    return;
}


sub serve {
    my ($self, $socket) = @_;

    while (defined(my $from = $socket->recv(my $query, 4096))) {
        my ($id, $flags, $questions) = unpack 'n3', $query;
        my ($at, @labels) = (12);

        while (my $len = unpack 'C', substr $query, $at, 1) {
            push @labels, substr $query, $at + 1, $len;
            $at += $len + 1;
        }

        my $name = join '.', @labels;
        my $type = unpack 'n', substr $query, $at + 1, 2;
        my $question = substr $query, 12, $at + 5 - 12;

        open my $log, '>>', $self->{log} or die "$self->{log}: $!\n";
        print $log "$name $type\n";
        close $log;

        open my $file, '<', $self->{file} or die "$self->{file}: $!\n";
        my $said = JSON::PP::decode_json(do { local $/; <$file> })->{$name};
        my $mode = $said ? $said->{mode} || '' : 'nx';

        next if $mode eq 'silent';

        # waits: the answer of a slow server, told by the test
        sleep $said->{delay} if $said && $said->{delay};

        my @addrs = $type == 1 && $said ? @{ $said->{addrs} || [] } : ();
        my $ttl = $said->{ttl} || 0;

        my %flags = (nx => 0x8183, tcp => 0x8380);
        my $answer = pack('n6', $id, $flags{$mode} || 0x8180, 1,
                          scalar @addrs, 0, 0) . $question
            . join '', map { pack('n3Nn', 0xc00c, 1, 1, $ttl, 4)
                             . Socket::inet_aton($_) } @addrs;

        $answer = join '', map { chr int rand 256 } 1 .. 60
            if $mode eq 'garbage';
        $answer = substr $answer, 0, length($answer) - 3 if $mode eq 'cut';

        $socket->send($answer, 0, $from);
    }

    return;
}


1;
