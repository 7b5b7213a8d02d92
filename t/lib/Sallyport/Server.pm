package Sallyport::Server;

# Private PostgreSQL and Redis on Unix sockets, for one test each.  They run
# as nobody when the test runs as root, and end with the test.

use strict;
use warnings;

use Cwd ();
use Digest::SHA;
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Find ();
use File::Temp ();
use POSIX ();
use Time::HiRes qw(sleep time);


our $nobody = 65534;
our $nogroup = 65534;


# The command runs as an unprivileged user and dies with the test.

sub unprivileged {
    my @drop = $> == 0
        ? ('--reuid', $nobody, '--regid', $nogroup, '--clear-groups') : ();

    # objs/ may lie where nobody may not look (/root)
    push @drop, '--inh-caps', '+dac_override', '--ambient-caps',
         '+dac_override', '--securebits', '+no_setuid_fixup'
        if $> == 0 && !traversable(__FILE__);

    return ('setpriv', @drop, '--pdeathsig', $_[0], '--');
}


sub traversable {
    my ($path) = @_;

    $path = dirname(Cwd::realpath($path));

    while ($path ne '/') {
        return 0 unless (stat $path)[2] & 1;
        $path = dirname($path);
    }

    return 1;
}


# start(command, log): a child in the background; its pid

sub start {
    my ($command, $log, $dir) = @_;

    my $pid = fork;

    die "cannot fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT;
        chdir $dir if $dir;
        { no warnings 'exec'; exec { $command->[0] } @$command; }
        print STDERR "cannot run $command->[0]: $!\n";
        POSIX::_exit(127);
    }

    return $pid;
}


# waits for a child until the deadline; true when it is gone

sub reap {
    my ($pid, $timeout) = @_;

    my $deadline = time + $timeout;

    for ( ;; ) {
        my $got = waitpid $pid, POSIX::WNOHANG();

        return 1 if $got == $pid || $got == -1;
        return 0 if time > $deadline;
        sleep 0.01;     # waits: a poll with a deadline
    }
}


sub end {
    my ($pid, $signal, $timeout) = @_;

    kill 'CONT', $pid;
    kill $signal, $pid;

    return 1 if reap($pid, $timeout);

    kill 'KILL', $pid;
    reap($pid, 5);
    return 0;
}


# all processes below a pid, by /proc

sub descendants {
    my ($top) = @_;

    my (%children, @all);

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my $line = <$fh>;
        next unless defined $line && $line =~ /^(\d+) \(.*\) \S (\d+)/s;
        push @{ $children{$2} }, $1;
    }

    my @queue = ($top);

    while (defined(my $pid = shift @queue)) {
        push @all, $pid;
        push @queue, @{ $children{$pid} || [] };
    }

    shift @all;
    return @all;
}


sub wait_for {
    my ($what, $timeout, $log, $check) = @_;

    my $deadline = time + $timeout;

    until ($check->()) {
        if (time > $deadline) {
            my $tail = '';
            if (open my $fh, '<', $log) {
                my @lines = <$fh>;
                splice @lines, 0, -20 if @lines > 20;
                $tail = join '', @lines;
            }
            die "$what did not start within $timeout s:\n$tail";
        }
        sleep 0.02;     # waits: a poll
    }

    return 1;
}


# -- redis

sub redis {
    my ($class, $dir) = @_;

    mkdir $dir;
    chown $nobody, $nogroup, $dir if $> == 0;

    my $self = bless { kind => 'redis', dir => $dir,
                       socket => "$dir/redis.sock", log => "$dir/redis.log" },
               $class;

    $self->launch;
    return $self;
}


sub launch_redis {
    my ($self) = @_;

    unlink $self->{socket};
    $self->{pid} = start([ unprivileged('TERM'), 'redis-server', '--port', 0,
        '--unixsocket', $self->{socket}, '--unixsocketperm', 777,
        '--save', '', '--appendonly', 'no', '--dir', $self->{dir},
        '--daemonize', 'no' ], $self->{log});

    return wait_for('redis', 15, $self->{log},
                    sub { defined $self->command('PING') });
}


# command('SET', 'a', 'b'): one command by a client of a few lines

sub command {
    my ($self, @words) = @_;

    require IO::Socket::UNIX;

    my $socket = IO::Socket::UNIX->new(Peer => $self->{socket}) or return;

    print $socket '*' . @words . "\r\n",
          map { '$' . length($_) . "\r\n$_\r\n" } @words;
    $socket->flush;

    local $SIG{ALRM} = sub { die "redis does not answer\n" };
    alarm 10;
    my $value = eval { redis_value($socket) };
    alarm 0;
    die $@ if $@ && $@ !~ /closed/;

    return $value;
}


sub redis_value {
    my ($socket) = @_;

    my $line = <$socket>;

    die "redis closed\n" unless defined $line;
    $line =~ s/\r\n$//;

    my $type = substr $line, 0, 1, '';

    return $line if $type eq '+';
    return $line + 0 if $type eq ':';
    die "redis: $line\n" if $type eq '-';
    return $line < 0 ? undef : [ map { redis_value($socket) } 1 .. $line ]
        if $type eq '*';
    return undef if $line < 0;

    read $socket, my $bytes, $line + 2;
    return substr $bytes, 0, $line;
}


# -- postgresql

# the installed programs, or a tree with pgvector beside them

sub pg_bin {
    my ($top) = @_;

    my $bin = `'$top/modules/postgres'`;

    $? == 0 or die "PostgreSQL is missing (run make deps)\n";
    chomp $bin;
    return $bin;
}


# The cluster is copied from a template that is made once for each state of
# sql/: initdb and the migrations would cost seconds in every test.

sub pg {
    my ($class, $dir, $top) = @_;

    my $self = bless { kind => 'pg', dir => $dir, log => "$dir/pg.log",
                       bin => pg_bin($top) }, $class;

    my $template = $self->template($top);

    mkdir $dir;
    system('cp', '-a', '--reflink=auto', $template, "$dir/data") == 0
        or die "cannot copy $template\n";
    chown $nobody, $nogroup, $dir if $> == 0;

    if (open my $fh, '>>', "$dir/data/postgresql.conf") {
        print $fh "unix_socket_directories = '$dir'\n";
        close $fh;
    }

    $self->launch;
    return $self;
}


sub template {
    my ($self, $top) = @_;

    my $sha = Digest::SHA->new(256);

    $sha->add(join ' ', $self->{bin}, (stat "$self->{bin}/postgres")[9], $>);

    File::Find::find({ no_chdir => 1, preprocess => sub { sort @_ },
                       wanted => sub { $sha->addfile($_) if -f $_ } },
                     grep { -d $_ } "$top/sql");

    # the recipe below is part of the key
    $sha->addfile(__FILE__);

    my $cache = "$top/objs/pg";
    my $name = substr $sha->hexdigest, 0, 16;

    system 'mkdir', '-p', $cache;
    open my $lock, '>', "$cache/lock" or die "$cache/lock: $!\n";
    flock $lock, LOCK_EX;

    return "$cache/$name" if -d "$cache/$name";

    # templates of older states of sql/
    system 'rm', '-rf', grep { -M $_ > 0.1 } glob "$cache/*/";

    # made where nobody may go, then moved
    my $tmp = File::Temp->newdir('sp-pg-XXXXXX', TMPDIR => 1);

    chmod 0755, "$tmp";
    chown $nobody, $nogroup, "$tmp" if $> == 0;

    my $made = bless { kind => 'pg', dir => "$tmp", bin => $self->{bin},
                       log => "$tmp/log" }, ref $self;

    $made->initdb;
    $made->launch;

    my $ok = eval { $made->apply($top); 1 };
    my $error = $@;

    end($made->{pid}, 'INT', 30);

    die $error unless $ok;

    system('cp', '-a', "$tmp/data", "$cache/$name.new") == 0
        && rename "$cache/$name.new", "$cache/$name"
        or die "cannot make $cache/$name\n";

    return "$cache/$name";
}


sub initdb {
    my ($self) = @_;

    my $pid = start([ unprivileged('KILL'), "$self->{bin}/initdb", '-D',
        "$self->{dir}/data", '-U', 'postgres', '-A', 'trust', '--no-sync',
        '--wal-segsize=1', '-E', 'UTF8', '--locale=C.UTF-8' ], $self->{log}, $self->{dir});

    reap($pid, 60) && $? == 0
        or die "initdb failed:\n" . `tail -n 20 $self->{log}`;

    open my $fh, '>>', "$self->{dir}/data/postgresql.conf"
        or die "postgresql.conf: $!\n";
    print $fh <<"END";
listen_addresses = ''
unix_socket_directories = '$self->{dir}'
unix_socket_permissions = 0777
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 64MB
max_connections = 100
min_wal_size = 2MB
max_wal_size = 64MB
END
    close $fh;
    return;
}


# The database "sallyport", the migrations, and the login role the gateway
# connects as: it owns nothing and switches to one of the three roles.

sub apply {
    my ($self, $top) = @_;

    my $dbh = $self->dbh('postgres');

    $dbh->do('create database sallyport');
    $dbh->disconnect;

    if (-x "$top/sql/apply") {
        my $conninfo = $self->conninfo('postgres');
        my $out = `'$top/sql/apply' '$conninfo' 2>&1`;

        die "sql/apply failed:\n$out" if $?;
    }

    $dbh = $self->dbh;

    $dbh->do('set client_min_messages = warning');

    my %have = map { $_->[0] => 1 }
               @{ $dbh->selectall_arrayref('select rolname from pg_roles') };

    $dbh->do('create role sallyport login noinherit') unless $have{sallyport};

    for my $role (qw(sallyport_anon sallyport_user sallyport_gateway)) {
        $dbh->do("grant $role to sallyport") if $have{$role};
    }

    $dbh->disconnect;
    return;
}


sub launch_pg {
    my ($self) = @_;

    chmod 0700, "$self->{dir}/data";
    $self->{pid} = start([ unprivileged('QUIT'), "$self->{bin}/postgres",
                           '-D', "$self->{dir}/data" ], $self->{log},
                         $self->{dir});

    return wait_for('PostgreSQL', 30, $self->{log}, sub {
        my $dbh = eval { $self->dbh('postgres') } or return 0;
        $dbh->disconnect;
        return 1;
    });
}


sub conninfo {
    my ($self, $user) = @_;
    return "host=$self->{dir} dbname=sallyport user=" . ($user || 'sallyport');
}


sub dbh {
    my ($self, $name) = @_;

    require DBI;

    return DBI->connect("dbi:Pg:host=$self->{dir};dbname="
                        . ($name || 'sallyport'), 'postgres', '',
                        { RaiseError => 1, PrintError => 0, AutoCommit => 1,
                          pg_enable_utf8 => 1 });
}


# -- both

sub launch {
    my ($self) = @_;
    my $method = "launch_$self->{kind}";
    return $self->$method;
}


# stopped as by a machine that hangs: connections stay, nothing answers

sub suspend {
    my ($self) = @_;
    kill 'STOP', $self->{pid}, descendants($self->{pid});
    return;
}


sub resume {
    my ($self) = @_;
    kill 'CONT', $self->{pid}, descendants($self->{pid});
    return;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    kill 'CONT', $pid, descendants($pid);
    end($pid, $self->{kind} eq 'pg' ? 'QUIT' : 'TERM', 15);
    return;
}


1;
