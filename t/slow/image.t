#!/usr/bin/perl

# The images of docker/Dockerfile, built by its own steps in a Debian root,
# and the containers of docker/compose.yaml, run as it says: read-only, as the
# unprivileged user, with PostgreSQL and Redis by name.  What docs/docker.md
# tells to type is typed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Fcntl qw(F_SETFD FD_CLOEXEC);
use JSON::PP ();
use Sallyport::Compose;
use Sallyport::Dns;
use Sallyport::Image;
use Sallyport::Provider;
use Sallyport::Test;
use Socket;
use Test::More;


plan skip_all => 'builds the modules itself: once is enough'
    if defined $ENV{SP_MODULES} && $ENV{SP_MODULES} eq '';

my $top = $Sallyport::Test::top;
my $missing = Sallyport::Image->missing;
plan skip_all => "no image without a container engine: $missing" if $missing;

# the file stays open for as long as the test lives
my ($net, $file) = own_network();
my $t = Sallyport::Test->new;
my $dir = $t->dir;
my $url = 'http://127.0.0.1:8080';

# -- the images

my $images = Sallyport::Image->new(net => $net);
my %image = map { $_ => $images->build($_) } qw(gateway migrate);

pass('the images are built');

my @tools = grep { -e "$image{gateway}{root}/usr/bin/$_" }
            qw(gcc cc ld make git npm node dpkg-deb.real psql);
is("@tools", '', 'the gateway has no compiler and no client of a database');
is(join(' ', glob "$image{gateway}{root}/var/lib/apt/lists/*"), '',
   'and no package lists');
cmp_ok(size($image{gateway}{root}), '<', 200, 'it has less than 200 MB');
like($image{$_}{user}, qr/^[1-9]\d*:[1-9]\d*$/, "$_ is not root by number")
    for sort keys %image;

# -- what compose.yaml gives: names, secrets, servers

is(system("'$top/docker/init' '$dir/secrets' >/dev/null"), 0, 'docker/init');
servers();

my $dns = Sallyport::Dns->new($dir, 53);
$dns->say($_ => { ttl => 600, addrs => [ '127.0.0.1' ] })
    for qw(postgres redis chain);

my %files = (
    '/etc/hosts'       => $t->file('hosts', "127.0.0.1 localhost\n"),
    '/etc/resolv.conf' => $t->file('resolv.conf', "nameserver 127.0.0.1\n"),
);
chmod 0644, values %files;

# -- migrate

my $out = migrate();
is($out->{status}, 0, 'migrate applies sql/ to an empty database')
    or diag($out->{text});
is(dbh('select count(*) from chat.character'), 3, 'with the demo characters');
is(migrate()->{status}, 0, 'and again');

put_secret('sallyport_password', '');
$out = migrate();
isnt($out->{status}, 0, 'an empty password ends it');
like($out->{text}, qr/SALLYPORT_POSTGRES_PASSWORD_FILE/, 'and is named');
system "cd '$dir/secrets' && rm sallyport_password && '$top/docker/init' . >/dev/null";
is(migrate()->{status}, 0, 'a changed password is set');
unlike($t->pg->{log} ? Sallyport::Test::slurp($t->pg->{log}) : '',
       qr/\Q@{[ secret('sallyport_password') ]}\E/, 'the log does not have it');

# -- the gateway

my $gateway = start({ SALLYPORT_GUESTS => 'on' });

ok(ready(), 'the gateway is ready') or diag(output());

my ($status, $text) = $gateway->exec(@{ $image{gateway}{health} });
is($status, 0, 'HEALTHCHECK') or diag($text);
my $health = Sallyport::Compose->new->{services}{gateway}{healthcheck}{test};
is($health->[0], 'CMD', 'the health check of compose.yaml');
is(($gateway->exec(@$health[1 .. $#$health]))[0], 0, 'passes as well');

($status, $text) = $gateway->exec('cat', '/proc/1/status');
like($text, qr/^Uid:\t10001\t10001\t10001\t10001$/m, 'NGINX is not root');
like($text, qr/^Cap(?:Prm|Eff|Bnd):\t0{16}$/m, 'has no capability');
like($text, qr/^CapBnd:\t0{16}$/m, 'can get none');
like($text, qr/^NoNewPrivs:\t1$/m, 'nor any privilege');

for my $path (qw(/x /etc/sallyport/x /usr/local/bin/settings /tmp/x /var/log/nginx/x)) {
    ($status, $text) = $gateway->exec('sh', '-c', "echo >$path");
    like($text, qr/Read-only file system|Permission denied/, "$path is not written");
}

is(join(' ', sort map { (split)[1] } grep { (split)[3] =~ /^rw/ && (split)[1] !~ m{^/(?:proc|dev)\b} }
             split /\n/, ($gateway->exec('cat', '/proc/mounts'))[1]),
   '/run/sallyport /var/lib/sallyport', 'two places are writable');

my ($hello) = sh_blocks(qr/curl/);
$text = bash($hello);
like($text, qr/^data: \{.*"chat\.completion\.chunk"/m, 'a chat is streamed');
like($text, qr/Mira/, 'by the character');
like($text, qr/^data: \[DONE\]\s*\z/m, 'to its end');
ok($t->wait_until(sub { dbh('select count(*) from gateway.ledger') == 1 }),
   'its turn is in the ledger');

like(fetch('/'), qr/<html/i, 'the page');
like(fetch('/metrics', '-H Accept:text/plain'), qr/"not_found"/, 'metrics are not published');
like(`curl -sS http://127.0.0.1:8081/metrics`, qr/^sallyport_requests_total/m,
     'they are on the other port');
like(fetch('/api/v1/mints', '-X POST -d {}'), qr/503|"unauthorized"|"token/, 'nothing mints');

like(output(), qr{ "POST /v1/chat/completions HTTP/1\.1" 200 }, 'the access log is stdout');
like(output(), qr/\[notice\] .*start worker process/, 'the error log stderr');

($status, $text) = $gateway->exec('nginx', '-e', 'stderr', '-c', '/etc/sallyport/nginx.conf', '-T');
is($status, 0, 'nginx -T') or diag($text);
for my $name (qw(sallyport_password signing_key)) {
    my $secret = secret($name) =~ /"d":"(.*?)"/ ? $1 : secret($name);
    unlike($text . output() . ($gateway->exec('env'))[1], qr/\Q$secret\E/,
           "$name is in no configuration, log or environment");
}
is(($gateway->exec('sh', '-c', 'find /run/sallyport -type f -perm /077 ! -name nginx.pid'))[1], '',
   'what it writes is its own');

# -- a stop while a stream runs

my $stream = $t->stream('POST', '/v1/chat/completions',
    { Authorization => 'Bearer ' . guest() },
    { model => 'default', stream => JSON::PP::true,
      messages => [ { role => 'user', content => 'Tell me a tale.' } ] },
    { port => 8080 });

$stream->read_until(qr/chat\.completion\.chunk/);
$gateway->signal($image{gateway}{stopsignal});
like($stream->rest, qr/data: \[DONE\]/, 'a stream that runs ends first');
is($gateway->wait(20), 0, 'then the gateway, when asked to stop');

# -- a provider

my $p = Sallyport::Provider->new($t->port(5), $dir);

put_secret('openai_api_key', "sk-of-the-image\n");
$gateway = start({ SALLYPORT_GUESTS => 'on',
                   OPENAI_BASE_URL => 'http://127.0.0.1:' . $t->port(5) . '/v1',
                   OPENAI_MODEL => 'model-of-mine' });
ok(ready(), 'ready with a provider') or diag(output());
like(bash($hello), qr/^data: \[DONE\]\s*\z/m, 'it streams');
my ($request) = grep { $_->{json}{stream} } $p->requests;
is($request->{headers}{authorization}, 'Bearer sk-of-the-image', 'by the key of the file');
is($request->{json}{model}, 'model-of-mine', 'with the model of the variable');
unlike(output(), qr/sk-of-the-image/, 'the key is in no log');

# -- an end that nobody could prepare

my @before = grep { /\bsp-|\Q$images->{dir}\E/ } split /\n/, Sallyport::Test::slurp('/proc/mounts');
is("@before", '', 'no mount of a container is seen outside');
isnt(scalar(() = $images->inside), 0, 'its processes have a root of their own');
$gateway->end;
ok($t->wait_until(sub { !$images->inside }), 'killed, nothing of it is left');

# -- the local chain

SKIP: {
    skip 'no local chain: the packages of npm are missing', 3
        unless glob "$top/t/node_modules/\@foundry-rs/anvil-linux-*/bin/anvil";

    my $volume = "$dir/volume-chain-info";
    local @ENV{qw(CHAIN_NODE CHAIN_HOST CHAIN_URL)}
        = ("$top/t/chain/node", '0.0.0.0', 'http://chain:8545');

    my $chain = Sallyport::Server::start([ "$top/docker/local-chain",
        "$dir/chain", $volume ], "$dir/chain.log");

    ok($t->wait_until(sub { -s "$volume/chain.json" }, 30), 'local-chain');
    # as in its image, where both have one user
    chown 10001, 10001, glob "$volume/*";

    put_secret('openai_api_key', '');
    $gateway = start({ SALLYPORT_GUESTS => 'on' });
    ok(ready(), 'ready with a chain') or diag(output());
    like(fetch('/api/v1/mints/domain', "-H 'Authorization: Bearer " . guest() . "'"),
         qr/"chainId":\s*"?31337\b/, 'the gateway mints on it');
    $gateway->end;

    Sallyport::Server::end($chain, 'TERM', 20);
    is(join(' ', glob "$volume/*"), '', 'a chain that has stopped is forgotten');
}

# -- what cannot be right

for my $case (
    [ { SALLYPORT_SIGNING_KEY_FILE => '' }, qr/SALLYPORT_SIGNING_KEY_FILE.*docker\/init/ ],
    [ { OPENAI_API_KEY_FILE => '/run/secrets/nothing' }, qr/OPENAI_API_KEY_FILE.*uid 10001/ ],
    [ { SALLYPORT_GUESTS => 'yes' }, qr/SALLYPORT_GUESTS is "yes": not on or off/ ])
{
    my ($env, $message) = @$case;

    $gateway = start({}, $env);
    isnt($gateway->wait(20) // 0, 0, join(' ', %$env) . ' ends the container');
    like(output(), $message, 'with a sentence');
}

Sallyport::Image::Built::stop_all();
$t->finish;
done_testing;


# A network of this test's own, where the ports of the images are free; the
# machine's, for what is fetched, is handed over by its file.

sub own_network {
    my $outside = $ENV{SP_IMAGE_NET};

    if (!$outside) {
        # what it may have to fetch is fetched before
        system "'$top/modules/postgres' >/dev/null";
        open my $fh, '<', '/proc/self/ns/net' or die "/proc: $!\n";
        fcntl $fh, F_SETFD, 0;
        $ENV{SP_IMAGE_NET} = fileno $fh;
        exec 'unshare', '--net', $^X, $0 or die "unshare: $!\n";
    }

    open my $fh, '<&=', $outside or die "descriptor $outside: $!\n";
    fcntl $fh, F_SETFD, FD_CLOEXEC;
    # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
    my $up = pack 'a16 s x22', 'lo', 0x41;
    socket my $s, AF_INET, SOCK_DGRAM, 0 or die "socket: $!\n";
    ioctl $s, 0x8914, $up or die "lo: $!\n";

    return ("/proc/$$/fd/$outside", $fh);
}


# PostgreSQL by TCP and password, with an empty cluster; Redis by TCP

sub servers {
    $t->redis->command('CONFIG', 'SET', 'port', 6379);

    my $pg = $t->pg;
    my $data = "$pg->{dir}/data";

    open my $fh, '>>', "$data/postgresql.conf" or die "postgresql.conf: $!\n";
    print $fh "listen_addresses = '127.0.0.1'\nport = 5432\n";
    close $fh;
    open $fh, '>', "$data/pg_hba.conf" or die "pg_hba.conf: $!\n";
    print $fh "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    close $fh;

    $t->stop_server('pg');
    $t->start_server('pg');

    my $dbh = $pg->dbh('postgres');

    $dbh->do('set client_min_messages = warning');
    $dbh->do('drop database sallyport');
    $dbh->do('drop role sallyport, sallyport_anon, sallyport_user,'
             . ' sallyport_gateway');
    $dbh->do('create database sallyport');
    $dbh->do('alter role postgres password '
             . $dbh->quote(secret('postgres_password')));
    $dbh->disconnect;
    return;
}


sub dbh { return ($t->dbh->selectrow_array($_[0]))[0] }

sub secret { return Sallyport::Test::slurp("$dir/secrets/$_[0]") =~ s/\n\z//r }


sub put_secret {
    my ($name, $value) = @_;
    unlink "$dir/secrets/$name";
    return chmod 0444, $t->file("secrets/$name", $value);
}


sub migrate {
    my $log = "$dir/migrate.log";

    unlink $log;
    my $c = Sallyport::Compose->new->run($images, 'migrate', dir => $dir,
        secrets => "$dir/secrets", files => \%files, log => $log);

    return { status => $c->wait(60), text => Sallyport::Test::slurp($log) };
}


# the variables of a user's shell, and those of the container
sub start {
    my ($shell, $env) = @_;

    unlink "$dir/logs/error.log";
    return Sallyport::Compose->new($shell)->run($images, 'gateway',
        dir => $dir, secrets => "$dir/secrets", files => \%files,
        env => $env, log => "$dir/logs/error.log");
}


sub output { return Sallyport::Test::slurp("$dir/logs/error.log") }

sub ready {
    return $t->wait_until(sub {
        `curl -sS -o /dev/null -w '%{http_code}' $url/readyz 2>&1` =~ /200$/ }, 30);
}


sub fetch {
    my ($path, $options) = @_;
    return scalar `curl -sS --max-time 10 @{[ $options // '' ]} -w '%{http_code}' $url$path`;
}


sub guest {
    my ($token) = `curl -sS -H 'Content-Type: application/json' -d '{}' $url/auth/guest` =~ /"access_token":"([^"]+)"/;
    return $token // '';
}


# what the page tells to type

sub sh_blocks {
    my ($pattern) = @_;
    my $page = Sallyport::Test::slurp("$top/docs/docker.md");
    return grep { !/^(?:\w+=\S+ )?docker /m && /$pattern/ } $page =~ /^```sh\n(.*?)^```/msg;
}


sub bash {
    my ($text) = @_;
    $t->file('typed.sh', "set -e\n$text");
    return scalar `bash '$dir/typed.sh' 2>&1`;
}


sub size {
    my ($megabytes) = `du -sm '$_[0]'` =~ /^(\d+)/;
    return $megabytes;
}
