package Sallyport::Image;

=head1 NAME

Sallyport::Image - an image of docker/Dockerfile without a container engine

=head1 SYNOPSIS

    my $why = Sallyport::Image->missing;      # what this machine lacks

    my $images = Sallyport::Image->new(net => '/proc/self/fd/9');
    my $gateway = $images->build('gateway');  # the root, by the same steps
    $gateway->{root}; $gateway->{user}; $gateway->{env}; ...

    my $container = $gateway->run(log => $log,
        env    => { NAME => 'value' },        # over those of the image
        tmpfs  => { '/run/x' => 'mode=700' },
        binds  => { '/var/lib/x' => $folder },
        files  => { '/etc/hosts' => $file },  # read-only, folders too
        command => [ ... ]);                  # instead of CMD
    $container->{pid}; $container->exec(@command); $container->signal('QUIT');

A container is read-only, without capabilities, and may gain no privilege.
Each step and each container has mount and process namespaces of its own:
when it ends, by whatever, its mounts and its processes are gone, and nothing
of them was ever seen outside.

A Debian base comes from debootstrap, with the machine's own mirror.  It, and
the RUN lines that directly follow FROM, which depend on no file of the tree,
are kept in objs/image for a day.  "net" is the network namespace for steps.
Roots go when the test ends; those of a test that was killed, with the next.

=cut

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use Sallyport::Dockerfile;
use Sallyport::Server;
use Sallyport::Test;


my $top = $Sallyport::Test::top;
my $cache = "$top/objs/image";

# ends with this process, however that ends
our @mortal = ('setpriv', '--pdeathsig', 'KILL', '--');

my (@live, $step);

my %path = (PATH =>
    '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin');

# The namespace of a step or a container: what an engine mounts, then the
# command.  Arguments: root, "ro" or "rw", user, group, mounts as lines
# "tmpfs OPTIONS PATH" and "bind|robind SOURCE PATH", folder, command.
my $enter = <<'SH';
set -e
root=$1 mode=$2 user=$3 group=$4 mounts=$5 dir=$6
shift 6

mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
    : >"$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do
    ln -s "/proc/self/fd/${n%%:*}" "$root/dev/${n#*:}"
done
mkdir -m 1777 "$root/dev/shm"

while read -r kind what path; do
    [ -n "$kind" ] || continue
    if [ "$kind" = tmpfs ]; then
        mkdir -p "$root$path"
        mount -t tmpfs -o "nosuid,nodev,noexec,$what" tmpfs "$root$path"
        continue
    fi
    if [ -d "$what" ]; then mkdir -p "$root$path"
    else mkdir -p "$(dirname "$root$path")"; [ -e "$root$path" ] || : >"$root$path"
    fi
    mount --bind "$what" "$root$path"
    [ "$kind" = bind ] || mount -o remount,bind,ro "$root$path"
done <<END
$mounts
END

keep=
if [ "$mode" = ro ]; then
    mount -o remount,bind,ro "$root"
    keep="--no-new-privs --bounding-set=-all"
fi
# the signal at the parent's death does not outlive a change of the user
exec chroot "$root" setpriv --reuid="$user" --regid="$group" --clear-groups \
    --pdeathsig KILL $keep -- sh -c 'cd "$1" && shift && exec "$@"' sh "$dir" "$@"
SH


# -- building

sub missing {
    return 'needs root' if $> != 0;

    for my $program (qw(debootstrap unshare nsenter setpriv chroot)) {
        return "$program is not installed"
            unless grep { -x "$_/$program" } split(/:/, $ENV{PATH}), '/usr/sbin';
    }

    return 'no namespaces of mounts, processes and networks here'
        if system 'unshare --mount --pid --net --fork --kill-child'
                  . ' mount -t tmpfs tmpfs /mnt >/dev/null 2>&1';
    return 'no Debian mirror in /etc/apt' unless mirror();
    return;
}


sub new {
    my ($class, %arg) = @_;

    system 'mkdir', '-p', $cache;
    system 'rm', '-rf', grep { /(\d+)$/ && !kill 0, $1 } glob "$cache/work.*";

    my $self = bless { net => '/proc/self/ns/net', built => {}, %arg,
        dir => "$cache/work.$$", owner => $$,
        file => Sallyport::Dockerfile->new("$top/docker/Dockerfile") }, $class;

    push @live, $self;
    $self->{context} = "$self->{dir}/context";
    system 'mkdir', '-p', $self->{context};
    $self->copy_context;
    return $self;
}


# Processes in roots that are ours, known by the root itself: what /proc calls
# it depends on who looks.

sub inside {
    my ($self) = @_;

    my %root = map { identity($_) => 1 }
               glob("$self->{dir}/*/"), glob "$cache/*.new/";

    return grep { $root{identity("/proc/$_/root/") // ''} }
           map { m{(\d+)$} } glob '/proc/[0-9]*';
}


sub identity {
    my @stat = stat $_[0];
    return @stat ? "$stat[0]:$stat[1]" : undef;
}


# A step in the background, which does not outlive this process.

sub do_command {
    my ($log, $timeout, @command) = @_;

    $step = Sallyport::Server::start([ @mortal, @command ], $log);

    my $done = Sallyport::Server::reap($step, $timeout);
    my $status = $?;

    kill 'KILL', $step unless $done;
    undef $step;
    return $done && $status == 0;
}


END {
    my $status = $?;

    Sallyport::Server::end($step, 'KILL', 10) if $step;
    Sallyport::Image::Built::stop_all();

    for my $self (grep { $_->{owner} == $$ } @live) {
        Sallyport::Server::wait_for('the end', 10, $self->{dir},
                                    sub { !$self->inside });
        system 'rm', '-rf', $self->{dir};
    }

    $? = $status;
}


# what an engine is sent: .dockerignore is "*", then what is not ignored

sub copy_context {
    my ($self) = @_;

    my ($all, @kept) = grep { /^[^#]/ }
                       split /\n/, Sallyport::Test::slurp("$top/.dockerignore");

    $all eq '*' && !grep { !/^!\w[\w.\/-]*$/ } @kept
        or die ".dockerignore: \"*\" and then \"!path\" is all that is read here\n";

    for my $path (map { substr $_, 1 } @kept) {
        my $to = "$self->{context}/" . dirname($path);
        system('mkdir', '-p', $to) == 0
            && system('cp', '-a', "$top/$path", $to) == 0
            or die "cannot copy $path\n";
    }

    return;
}


# build(name): an image, which is a Sallyport::Image::Built

sub build {
    my ($self, $name) = @_;

    return $self->{built}{$name} if $self->{built}{$name};

    my $stage = $self->{file}->stage($name) or die "no stage $name\n";
    my $image = bless {
        root => "$self->{dir}/$name", name => $name, env => { %path },
        user => '0:0', workdir => '/', entrypoint => [], cmd => [],
        volumes => [], ports => [],
    }, 'Sallyport::Image::Built';

    my @steps = @{ $stage->{instructions} };
    my @first;

    push @first, shift @steps while @steps && $steps[0]{word} eq 'RUN';

    $self->begin($image, $stage->{from}, @first);
    $self->step($image, $_) for @steps;

    return $self->{built}{$name} = $image;
}


# the base and the steps that depend on nothing of ours, from the cache

sub begin {
    my ($self, $image, $from, @steps) = @_;

    my ($suite) = $from =~ /^debian:(\w+)-\d{8}-slim$/
        or die "$from is not \"debian:SUITE-DATE-slim\"\n";
    my $key = "$suite-" . substr sha256_hex($from, map { $_->{rest} } @steps),
                                 0, 16;

    open my $lock, '>', "$cache/lock" or die "$cache/lock: $!\n";
    flock $lock, LOCK_EX;
    system 'rm', '-rf', glob("$cache/*.new"),
           grep { -M $_ > 1 } glob "$cache/*-*/";

    if (!-d "$cache/$key") {
        my $base = $self->debian($suite);
        my $new = { %$image, root => "$cache/$key.new" };

        copy($base, $new->{root});
        $self->step($new, $_) for @steps;
        rename $new->{root}, "$cache/$key" or die "$cache/$key: $!\n";
    }

    copy("$cache/$key", $image->{root});
    return;
}


sub copy {
    my ($from, $to) = @_;

    return system('cp', '-a', '--reflink=auto', $from, $to) == 0
           || die "cannot copy $from\n";
}


# Debian's image is a minimal system that starts no service, and keeps no
# downloaded package

sub debian {
    my ($self, $suite) = @_;

    my $base = "$cache/$suite-base";
    my $log = "$self->{dir}/debootstrap.log";
    my ($keyring) = grep { -e } map {
        "/usr/share/keyrings/debian-archive-keyring.$_" } qw(gpg pgp);

    return $base if -d $base;

    # it mounts /proc in the root: nobody else is to see that
    do_command($log, 900, 'nsenter', "--net=$self->{net}", 'unshare', '--mount',
        '--pid', '--fork', '--kill-child', 'debootstrap', '--variant=minbase',
        "--keyring=$keyring", $suite, "$base.new", mirror())
        or die "debootstrap failed:\n" . `tail -n 5 '$log'`;

    put("$base.new/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0755);
    put("$base.new/etc/apt/apt.conf.d/docker-clean",
        qq{APT::Sandbox::User "root";\nDir::Cache::pkgcache "";\n}
        . qq{Dir::Cache::srcpkgcache "";\n}
        . qq{DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n});
    system 'rm', '-rf', glob("$base.new/var/lib/apt/lists/*"),
           glob "$base.new/var/cache/apt/archives/*.deb";

    rename "$base.new", $base or die "$base: $!\n";
    return $base;
}


sub put {
    my ($path, $text, $mode) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
    chmod $mode // 0644, $path;
    return;
}


sub mirror {
    my $text = join "\n", map { Sallyport::Test::slurp($_) }
        glob('/etc/apt/sources.list.d/*.sources'),
        grep { -e } glob('/etc/apt/sources.list.d/*.list'),
        '/etc/apt/sources.list';

    my ($uri) = $text =~ m{^(?:URIs:|deb(?: \[.*?\])?)\s+(\S+/debian)/?(?:\s|$)}m;
    return $uri;
}


# -- instructions

sub step {
    my ($self, $image, $i) = @_;

    my $method = 'do_' . lc $i->{word};

    return $self->$method($image, $i) if $self->can($method);
    die "line $i->{line}: $i->{word} is not done here\n";
}


sub do_run {
    my ($self, $image, $i) = @_;

    my $log = "$self->{dir}/$image->{name}.log";
    my @mounts = map { "robind $_ $_" }
                 grep { -e } qw(/etc/resolv.conf /etc/hosts);

    do_command($log, 900, 'nsenter', "--net=$self->{net}", namespace(
        $image->{root}, 'rw', $image->{user}, \@mounts, $image->{workdir},
        $image->{env},
        $i->{exec} ? @{ $i->{args} } : ('/bin/sh', '-c', $i->{rest})))
        or die "line $i->{line}: RUN $i->{rest}\n" . `tail -n 20 '$log'`;
    return;
}


sub do_copy {
    my ($self, $image, $i) = @_;

    my @from = @{ $i->{args} };
    my $to = pop @from;
    my $source = $i->{flags}{from} ? $self->build($i->{flags}{from})->{root}
                                   : $self->{context};
    my @owner = split /:/, $i->{flags}{chown} // '0:0';

    $to = "$image->{workdir}/$to" unless $to =~ m{^/};
    # a folder is its content; the destination is a folder when it says so
    my $folder = $to =~ m{/(?:\./?)?$} || @from > 1;
    $to = "$image->{root}$to";
    system 'mkdir', '-p', $folder ? $to : dirname($to);

    for my $from (map { "$source/$_" } @from) {
        my $into = -d $from ? $to
                 : $folder ? "$to/" . ($from =~ m{([^/]+)$})[0] : $to;

        if (-d $from) {
            # over a link to a folder, too
            system('mkdir', '-p', $into) == 0
                && system("cp -a '$from/.' '$into/'") == 0 or die "COPY $from\n";
        } else {
            system('cp', '-a', $from, $into) == 0 or die "COPY $from\n";
        }

        my @all = -d $from ? map { s{^\Q$from\E}{$into}r }
                             split /\n/, `find '$from'` : $into;
        chown $owner[0], $owner[1] // $owner[0], @all;
        next unless $i->{flags}{chmod};
        chmod oct $i->{flags}{chmod}, grep { !-d } @all;
    }

    return;
}


sub do_env {
    my ($self, $image, $i) = @_;

    for my $word (@{ $i->{args} }) {
        my ($name, $value) = $word =~ /^(\w+)=(.*)$/s
            or die "line $i->{line}: ENV $word\n";
        $image->{env}{$name}
            = Sallyport::Dockerfile::expand($value, $image->{env});
    }

    return;
}


sub do_user { $_[1]{user} = $_[2]{args}[0]; return }

sub do_workdir {
    my ($self, $image, $i) = @_;

    $image->{workdir} = $i->{args}[0];
    return system('mkdir', '-p', "$image->{root}$image->{workdir}") == 0;
}

sub do_volume { push @{ $_[1]{volumes} }, @{ $_[2]{args} }; return }

sub do_expose { push @{ $_[1]{ports} }, @{ $_[2]{args} }; return }

sub do_stopsignal { $_[1]{stopsignal} = $_[2]{args}[0] =~ s/^SIG//r; return }

sub do_healthcheck { $_[1]{health} = $_[2]{args}; return }

sub do_entrypoint { $_[1]{entrypoint} = $_[2]{args}; return }

sub do_cmd { $_[1]{cmd} = $_[2]{args}; return }


# the words of a command in namespaces of its own

sub namespace {
    my ($root, $mode, $user, $mounts, $dir, $env, @command) = @_;

    my ($uid, $gid) = split /:/, $user;

    return ('unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh',
            '-c', $enter, 'sh', $root, $mode, $uid, $gid // $uid,
            join("\n", @$mounts), $dir, 'env', '-i',
            (map { "$_=$env->{$_}" } sort keys %$env), @command);
}


package Sallyport::Image::Built;

use strict;
use warnings;

use Sallyport::Server;


my @running;


# a container of the image: Sallyport::Image::Container

sub run {
    my ($self, %arg) = @_;

    my %tmpfs = %{ $arg{tmpfs} || {} };
    my %binds = %{ $arg{binds} || {} };
    my %files = %{ $arg{files} || {} };
    my @mounts = ((map { "tmpfs $tmpfs{$_} $_" } sort keys %tmpfs),
                  (map { "bind $binds{$_} $_" } sort keys %binds),
                  (map { "robind $files{$_} $_" } sort keys %files));
    my %env = (%{ $self->{env} }, %{ $arg{env} || {} });
    my @command = Sallyport::Image::namespace($self->{root}, 'ro',
        $self->{user}, \@mounts, $self->{workdir}, \%env,
        @{ $self->{entrypoint} }, @{ $arg{command} || $self->{cmd} });

    give($self->{user}, $arg{log});

    my $container = bless { image => $self, env => \%env, owner => $$,
        pid => Sallyport::Server::start(
            [ @Sallyport::Image::mortal, @command ], $arg{log}) }, 'Sallyport::Image::Container';

    push @running, $container;
    return $container;
}


# an engine gives the user the files that are its output

sub give {
    my ($user, $path) = @_;

    open my $fh, '>>', $path or die "$path: $!\n";
    return chown split(/:/, $user), $path;
}


sub stop_all {
    $_->end for grep { $_->{owner} == $$ } @running;
    @running = ();
    return;
}


package Sallyport::Image::Container;

use strict;
use warnings;

use Sallyport::Server;


# the first process of the container, as this machine numbers it

sub first {
    my ($self) = @_;

    return $self->{first} ||= (split ' ', Sallyport::Test::slurp(
        "/proc/$self->{pid}/task/$self->{pid}/children"))[0];
}


sub signal { kill $_[1], $_[0]->first or die "no process\n"; return }


# waits for its end: the exit status, or undef when it still runs

sub wait {
    my ($self, $timeout) = @_;

    return unless $self->{pid} && Sallyport::Server::reap($self->{pid}, $timeout);
    delete $self->{pid};
    return $self->{status} = $? >> 8;
}


sub end {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    # with it all that the container is
    kill 'KILL', $pid;
    return Sallyport::Server::reap($pid, 10);
}


# (exit status, output) of a command in the running container

sub exec {
    my ($self, @command) = @_;

    my $image = $self->{image};
    my ($uid, $gid) = split /:/, $image->{user};
    my $first = $self->first;
    my $log = "$image->{root}.exec";

    unlink $log;
    Sallyport::Image::Built::give($image->{user}, $log);
    Sallyport::Server::reap(Sallyport::Server::start([ 'nsenter', '-t', $first,
        '-m', '-p', "--root=/proc/$first/root", "--wd=/proc/$first/root",
        'setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups',
        '--no-new-privs', 'env', '-i',
        (map { "$_=$self->{env}{$_}" } sort keys %{ $self->{env} }),
        @command ], $log), 30) or die "@command does not end\n";

    my $text = Sallyport::Test::slurp($log);
    return ($? >> 8, $text);
}


1;
