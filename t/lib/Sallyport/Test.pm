package Sallyport::Test;

=head1 NAME

Sallyport::Test - one private gateway with its servers, for one test file

=head1 SYNOPSIS

    use lib 't/lib';
    use Test::More;
    use Sallyport::Test;

    my $t = Sallyport::Test->new;
    $t->redis;
    $t->pg;
    $t->conf(<<'EOF');
    %%LOAD%%
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        server {
            listen 127.0.0.1:%%PORT%%;
            listen 127.0.0.1:%%PORTH2%% http2;
            location / { return 200 ok; }
        }
    }
    EOF
    $t->run;

    is($t->get('/')->{status}, 200);
    is($t->request('GET', '/', {}, undef, { http2 => 1 })->{status}, 200);

    $t->finish;
    done_testing;

Placeholders: LOAD (load_module lines; empty for a static binary), GLOBALS
(pid, error_log, user, workers), HTTP (temporary paths below DIR), PORT,
PORT1 .. PORT9, PORTH2 (the port of {http2 => 1}), DIR, TOP (the source
tree), REDIS (unix:/..), PG (conninfo of the login role).

new() takes "workers", their number, for GLOBALS.

Environment: SP_NGINX and SP_MODULES choose the binary and the directory of
the modules ("" for a static build); SP_LOG the level of error_log; SP_KEEP=1
keeps the private directory.

=cut

use strict;
use warnings;

use Cwd ();
use Fcntl qw(:flock O_CREAT O_RDWR);
use File::Basename ();
use File::Temp ();
use File::Spec ();
use IO::Socket::INET;
use POSIX ();
use Test::More ();
use Time::HiRes qw(sleep time);

use Sallyport::HTTP;
use Sallyport::HTTP2;
use Sallyport::Server;


our $top = Cwd::realpath(File::Basename::dirname(__FILE__) . '/../../..');

my @live;               # what must end with the test


# -- life

sub new {
    my ($class, %arg) = @_;

    my $dir = File::Temp::tempdir('sp-XXXXXXXX', TMPDIR => 1,
                                  CLEANUP => !$ENV{SP_KEEP});
    chmod 0755, $dir;

    my $static = defined $ENV{SP_MODULES} && $ENV{SP_MODULES} eq '';

    my $self = bless {
        dir     => $dir,
        nginx   => $ENV{SP_NGINX} || find_nginx(),
        modules => $static ? '' : $ENV{SP_MODULES} || "$top/objs",
        ports   => {},
        locks   => [],
        allowed => [],
        owner   => $$,
        workers => $arg{workers} || 1,
    }, $class;

    Test::More::diag("private directory: $dir") if $ENV{SP_KEEP};

    # workers run as nobody and write here
    for my $name ('', qw(/logs /tmp /spool)) {
        mkdir "$dir$name";
        chown $Sallyport::Server::nobody, $Sallyport::Server::nogroup,
              "$dir$name" if $> == 0;
    }

    push @live, $self;
    return $self;
}


sub find_nginx {
    for my $path (split(/:/, $ENV{PATH} || ''), '/usr/sbin') {
        return "$path/nginx" if -x "$path/nginx";
    }
    die "nginx is not installed (run make deps)\n";
}


# Every file ends with its servers stopped and its logs looked at, also one
# that dies half way.

END {
    my $status = $?;

    for my $self (@live) {
        next unless $self->{owner} == $$;

        $self->stop unless $self->{finished};

        my @problems = $self->{finished} ? () : $self->problems;

        if (@problems) {
            Test::More::diag("$self->{dir}: $_") for @problems;
            $status ||= 1;
        }

        $_->stop for grep { $_ } @$self{qw(redis pg)};
    }

    $? = $status;
}

# a signal ends the test through END
$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);


# asserts that nothing went wrong unseen; call it last

sub finish {
    my ($self) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $clean = $self->stop;

    $self->{finished} = 1;

    Test::More::ok($clean, 'nginx and its workers ended when asked to');

    my @problems = $self->problems;

    Test::More::ok(!@problems, 'no alert, no sanitizer report, no leak');
    Test::More::diag($_) for @problems;

    $_->stop for grep { $_ } @$self{qw(redis pg)};
    return;
}


# allow(qr/exited on signal 9/): an [alert] the test itself provokes

sub allow {
    my ($self, @patterns) = @_;
    push @{ $self->{allowed} }, @patterns;
    return;
}


sub problems {
    my ($self) = @_;

    my @found;

    LINE:
    for (split /\n/, $self->error_log) {
        next unless /\[(?:alert|emerg)\]|open socket #|ERROR: \w+Sanitizer
                     |runtime[ ]error:|SUMMARY: \w+Sanitizer/x;

        for my $allowed (@{ $self->{allowed} }) {
            next LINE if $_ =~ $allowed;
        }

        push @found, $_;
    }

    for my $file (glob "$self->{dir}/logs/sanitizer.*") {
        push @found, "$file:\n" . slurp($file);
    }

    return @found;
}


# -- servers

sub redis {
    my ($self) = @_;
    return $self->{redis} ||= Sallyport::Server->redis("$self->{dir}/redis");
}


sub pg {
    my ($self) = @_;
    return $self->{pg} ||= Sallyport::Server->pg("$self->{dir}/pg", $top);
}


# the database as its owner

sub dbh {
    my ($self) = @_;

    if (!$self->{dbh} || !eval { $self->{dbh}->ping }) {
        $self->{dbh} = $self->pg->dbh;
    }

    return $self->{dbh};
}


# rows as array references; in scalar context the first value

sub sql {
    my ($self, $text, @values) = @_;

    my $sth = $self->dbh->prepare($text);

    $sth->execute(@values);

    my $rows = $sth->{NUM_OF_FIELDS} ? $sth->fetchall_arrayref : [];

    return wantarray ? @$rows : @$rows ? $rows->[0][0] : undef;
}


sub suspend { my ($self, $kind) = @_; return $self->{$kind}->suspend }

sub resume { my ($self, $kind) = @_; return $self->{$kind}->resume }

sub start_server { my ($self, $kind) = @_; return $self->{$kind}->launch }

sub stop_server {
    my ($self, $kind) = @_;
    delete $self->{dbh} if $kind eq 'pg';
    return $self->{$kind}->stop;
}


# -- files and ports

sub dir { return $_[0]{dir} }

sub file {
    my ($self, $name, $content, $mode) = @_;

    my $path = "$self->{dir}/$name";

    if ($name =~ m{/}) {
        system('mkdir', '-p', File::Basename::dirname($path)) == 0
            or die "cannot make the directory of $path\n";
    }

    open my $fh, '>', $path or die "$path: $!\n";
    binmode $fh;
    utf8::encode($content) if utf8::is_utf8($content);
    print $fh $content;
    close $fh or die "$path: $!\n";

    chmod defined $mode ? $mode : 0644, $path;
    return $path;
}


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or return '';
    binmode $fh;
    local $/;
    my $text = <$fh>;
    return defined $text ? $text : '';
}


# port() is the main one, port(3) another, port('H2') that of HTTP/2.  A port
# stays locked against other tests of this machine until the test ends.

sub port {
    my ($self, $n) = @_;

    $n = '' unless defined $n;
    return $self->{ports}{$n} if $self->{ports}{$n};

    my $locks = File::Spec->tmpdir . '/sallyport-ports';

    mkdir $locks and chmod 01777, $locks;

    for (1 .. 500) {
        my $port = 12000 + int rand 18000;

        sysopen my $lock, "$locks/$port", O_RDWR | O_CREAT, 0666 or next;
        flock $lock, LOCK_EX | LOCK_NB or next;

        my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Proto => 'tcp', Listen => 1, ReuseAddr => 1)
            or next;

        close $probe;
        push @{ $self->{locks} }, $lock;
        return $self->{ports}{$n} = $port;
    }

    die "no free port found\n";
}


# -- nginx

sub conf {
    my ($self, $text) = @_;
    $self->{conf} = $self->file('nginx.conf', $self->expand($text));
    return $self;
}


sub expand {
    my ($self, $text) = @_;

    my %value = (
        LOAD    => sub { $self->load_lines },
        GLOBALS => sub { $self->globals },
        HTTP    => sub { $self->http_lines },
        DIR     => sub { $self->{dir} },
        TOP     => sub { $top },
        REDIS   => sub { 'unix:' . $self->redis->{socket} },
        PG      => sub { $self->pg->conninfo },
        PORT    => sub { $self->port },
        PORTH2  => sub { $self->port('H2') },
        map { my $n = $_; ("PORT$n" => sub { $self->port($n) }) } 1 .. 9,
    );

    # GLOBALS and the like hold no placeholder themselves
    $text =~ s{%%([A-Z0-9]+)%%}{
        ($value{$1} or die "unknown placeholder %%$1%%\n")->()
    }ge;

    return $text;
}


# the core first: plugins find their symbols in it

sub load_lines {
    my ($self) = @_;

    return '' if $self->{modules} eq '';

    my @all = sort map { glob } "$self->{modules}/ngx_http_sp_*_module.so",
                              "$self->{modules}/ngx_http_test_*_module.so";
    my @core = grep { m{/ngx_http_sp_core_module\.so$} } @all;

    @core or die "no modules in $self->{modules} (run make build)\n";

    return join "\n", map { "load_module $_;" }
           @core, grep { $_ ne $core[0] } @all;
}


sub globals {
    my ($self) = @_;

    my $level = $ENV{SP_LOG} || 'info';
    my $user = '';

    # the sources may lie where nobody may not look (/root)
    if ($> == 0) {
        $user = Sallyport::Server::traversable("$top/config")
            ? 'user nobody nogroup;' : 'user root root;';
    }

    return <<"END";
pid $self->{dir}/nginx.pid;
error_log $self->{dir}/logs/error.log $level;
$user
worker_processes $self->{workers};
worker_shutdown_timeout 15s;
END
}


sub http_lines {
    my ($self) = @_;

    my $temp = "$self->{dir}/tmp";

    return <<"END";
access_log off;
client_body_temp_path $temp/body;
proxy_temp_path $temp/proxy;
fastcgi_temp_path $temp/fastcgi;
uwsgi_temp_path $temp/uwsgi;
scgi_temp_path $temp/scgi;
END
}


sub environment {
    my ($self) = @_;

    # slow unwinding shows who called into libraries without frame pointers
    my $log = "log_path=$self->{dir}/logs/sanitizer:log_exe_name=1";

    return (
        ASAN_OPTIONS  => "$log:detect_odr_violation=0:abort_on_error=0"
                         . ':detect_stack_use_after_return=1:fast_unwind_on_malloc=0',
        UBSAN_OPTIONS => "$log:print_stacktrace=1",
        LSAN_OPTIONS  => "suppressions=$top/t/house/asan.supp"
                         . ':print_suppressions=0',
    );
}


sub command {
    my ($self, $conf, @more) = @_;
    return ($self->{nginx}, '-p', $self->{dir}, '-c', $conf,
            '-e', "$self->{dir}/logs/error.log", @more);
}


# a whole configuration around what is inside of http {}

sub http_conf {
    my ($self, $inside, $events) = @_;

    $events ||= '';

    return "%%LOAD%%\n%%GLOBALS%%\nevents { $events }\n"
           . "http {\n    %%HTTP%%\n$inside}\n";
}


# a block of it: a line for each of the settings that is defined

sub conf_block {
    my ($self, $head, %line) = @_;

    return "$head {\n"
           . join('', map { "$_ $line{$_};\n" }
                      grep { defined $line{$_} } sort keys %line)
           . "}\n";
}


# a test: nginx -t takes it; what it says

sub accepts {
    my ($self, $text, $name) = @_;

    my ($ok, $out) = $self->check_conf($text);

    Test::More::ok($ok, "accepted: $name") or Test::More::diag($out);
    return $out;
}


# two tests: nginx -t refuses it, and says why and where

sub refuses {
    my ($self, $text, $pattern, $name) = @_;

    my ($ok, $out) = $self->check_conf($text);

    Test::More::ok(!$ok, "refused: $name");
    Test::More::like($out, qr/$pattern.*check\.conf:\d+/s,
                     '.. with the place and why');
    return;
}


# nginx -t of another configuration: (ok, output)

sub check_conf {
    my ($self, $text) = @_;

    my $conf = $self->file('check.conf', $self->expand($text));
    my @command = ($self->{nginx}, '-p', $self->{dir}, '-c', $conf, '-t',
                   '-e', 'stderr');

    local @ENV{qw(ASAN_OPTIONS)} = ('detect_leaks=0:detect_odr_violation=0');

    my $pid = open my $pipe, '-|';

    die "cannot fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    my $out = do { local $/; <$pipe> };

    close $pipe;
    return ($? == 0, defined $out ? $out : '');
}


sub run {
    my ($self) = @_;

    $self->{conf} or die "no conf\n";

    my %env = $self->environment;
    local @ENV{keys %env} = values %env;

    my ($ok, $out) = $self->check_conf(slurp($self->{conf}));

    $ok or die "nginx -t refused the configuration:\n$out";

    $self->{finished} = 0;

    # the port of the test before may still be taken for a moment
    $self->{master} = Sallyport::Server::start(
        [ 'setpriv', '--pdeathsig', 'TERM', '--',
          $self->command($self->{conf}, '-g', 'daemon off;') ],
        "$self->{dir}/logs/stderr.log", $self->{dir});

    my @ports = values %{ $self->{ports} };
    my $conf = slurp($self->{conf});

    # what the system trusts takes the sanitizers seconds to read
    Sallyport::Server::wait_for('nginx', $ENV{SP_SANITIZE} ? 120 : 30,
                                "$self->{dir}/logs/error.log",
        sub {
            waitpid($self->{master}, POSIX::WNOHANG()) == 0
                or die "nginx ended at once:\n" . $self->error_log;

            return 0 unless $self->workers;

            for my $port (grep { $conf =~ /\blisten [^;]*:$_\b/ } @ports) {
                IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port",
                                      Timeout => 2) or return 0;
            }

            return 1;
        });

    return $self;
}


# pids of the workers that serve; with (all => 1) of those that drain as well

sub workers {
    my ($self, %arg) = @_;

    return () unless $self->{master};

    my @pids;

    for my $pid (Sallyport::Server::descendants($self->{master})) {
        my $title = slurp("/proc/$pid/cmdline");

        next unless $title =~ /^nginx: worker process/;
        next if $title =~ /shutting down/ && !$arg{all};
        push @pids, $pid;
    }

    @pids = sort { $a <=> $b } @pids;
    return @pids;
}


# a new generation of workers serves when this returns

sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->workers;

    kill 'HUP', $self->{master};

    return Sallyport::Server::wait_for('the new generation of workers', 20,
        "$self->{dir}/logs/error.log", sub {
            my @now = $self->workers;
            return @now && !grep { $old{$_} } @now;
        });
}


# quits gracefully; true when master and workers ended by themselves

sub stop {
    my ($self, $signal) = @_;

    my $master = $self->{master} or return 1;
    my @workers = $self->workers(all => 1);

    my $clean = Sallyport::Server::end($master, $signal || 'QUIT', 20);

    delete $self->{master};

    # a process that ended but that nobody waits for has no command line
    my $lives = sub { return slurp("/proc/$_[0]/cmdline") ne '' };

    for my $pid (grep { $lives->($_) } @workers) {
        # a worker whose master was killed by the test
        next if $self->wait_until(sub { !$lives->($pid) }, 10);
        kill 'KILL', $pid;
        $clean = 0;
    }

    return $clean;
}


sub error_log {
    my ($self) = @_;
    return slurp("$self->{dir}/logs/error.log")
           . slurp("$self->{dir}/logs/stderr.log");
}


# waits until the log holds the pattern; true when it came

sub wait_log {
    my ($self, $pattern, $timeout) = @_;
    return $self->wait_until(sub { $self->error_log =~ $pattern }, $timeout);
}


# polls a condition that has no event of its own; its value, or false

sub wait_until {
    my ($self, $check, $timeout) = @_;

    my $deadline = time + ($timeout || 10);
    my $value;

    until ($value = $check->()) {
        return $value if time > $deadline;
        sleep 0.02;     # waits: this is the poll that tests use
    }

    return $value;
}


# -- requests

# options: http2 (1: by curl; "frames": by Sallyport::HTTP2, which hides nothing
# either, with hold), port (a number or a name of port()), timeout, raw

sub request {
    my ($self, $method, $path, $headers, $body, $opt) = @_;

    $opt ||= {};

    if (ref $body) {
        $body = Sallyport::HTTP::encode($body);
        $headers = { 'Content-Type' => 'application/json',
                     %{ $headers || {} } };
    }

    if ($opt->{http2}) {
        my %arg = (%$opt, method => $method, path => $path, body => $body,
                   headers => $headers,
                   address => $self->address({ port => 'H2', %$opt }));

        return Sallyport::HTTP2::once(%arg) if $opt->{http2} eq 'frames';

        $arg{body_file} = $self->file('request.body', $body) if defined $body;
        return Sallyport::HTTP::curl_http2(%arg);
    }

    my $s = $self->stream($method, $path, $headers, $body, $opt);
    my $res = $s->reply;

    $s->close;
    return $res;
}


sub get {
    my ($self, $path, $headers, $opt) = @_;
    return $self->request('GET', $path, $headers, undef, $opt);
}


sub post {
    my ($self, $path, $headers, $body, $opt) = @_;
    return $self->request('POST', $path, $headers, $body, $opt);
}


# a connection on which the request was sent and the reply can be read in
# pieces: read_until, rest, status, header, close, closed; taken and leave wait
# for what the server does (Sallyport::HTTP)

sub stream {
    my ($self, $method, $path, $headers, $body, $opt) = @_;

    if (ref $body) {
        $body = Sallyport::HTTP::encode($body);
        $headers = { 'Content-Type' => 'application/json',
                     %{ $headers || {} } };
    }

    my $s = $self->connection($opt);

    $s->{bodyless} = $method eq 'HEAD';
    return $s->send(Sallyport::HTTP::message($method, $path, $headers, $body));
}


# a bare connection for bytes of the test's own: send, then as above

sub connection {
    my ($self, $opt) = @_;

    $opt ||= {};
    return Sallyport::HTTP->connect(address => $self->address($opt),
                                    timeout => $opt->{timeout});
}


sub address {
    my ($self, $opt) = @_;

    my $port = $opt->{port};

    $port = $self->port($port)
        unless defined $port && $port =~ /^[0-9]{4,}$/;

    return "127.0.0.1:$port";
}


1;
