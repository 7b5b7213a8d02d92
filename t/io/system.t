#!/usr/bin/perl

# Host names without a resolver of the operator: resolv.conf(5) and hosts(5)
# of the system, which a shim replaces by files of the test.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Dns;
use Sallyport::Proxy;
use Sallyport::Test;
use Test::More;


plan skip_all => 'sanitizers come first in the address space'
    if $ENV{SP_SANITIZE};

my $t = Sallyport::Test->new;
my $dir = $t->dir;
my $dns = Sallyport::Dns->new($dir);
my $name_port = $dns->port;
my $port = $t->port(5);
my $web = '127.0.0.1:' . $t->port(1);

my %at = map { ($_ => Sallyport::Proxy->new(listen => "127.0.0.$_:$port",
                                            to => $web)) } 2 .. 5;

# queries to 127.0.0.9 port 53 go to the server of the test
$t->file('shim.c', <<"EOF");
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

static const char *
other(const char *path)
{
    if (strcmp(path, "/etc/resolv.conf") == 0) {
        return "$dir/resolv.conf";
    }

    return (strcmp(path, "/etc/hosts") == 0) ? "$dir/hosts" : path;
}

int
open64(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    int mode;
    va_list args;

    va_start(args, flags);
    mode = va_arg(args, int);
    va_end(args);

    return real(other(path), flags, mode);
}

int
open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int mode;
    va_list args;

    va_start(args, flags);
    mode = va_arg(args, int);
    va_end(args);

    return real(other(path), flags, mode);
}

int
connect(int s, const struct sockaddr *addr, socklen_t len)
{
    int (*real)(int, const struct sockaddr *, socklen_t)
        = dlsym(RTLD_NEXT, "connect");
    struct sockaddr_in sin;

    if (addr->sa_family != AF_INET) {
        return real(s, addr, len);
    }

    memcpy(&sin, addr, sizeof(sin));

    if (sin.sin_addr.s_addr == inet_addr("127.0.0.9")) {
        sin.sin_port = htons($name_port);
        sin.sin_addr.s_addr = inet_addr("127.0.0.1");
    }

    return real(s, (struct sockaddr *) &sin, sizeof(sin));
}
EOF

system("cc -shared -fPIC -w -o $dir/shim.so $dir/shim.c -ldl") == 0 or die;
chmod 0755, "$dir/shim.so";

$t->file('hosts', <<'EOF', 0644);
# 127.0.0.5 web
127.0.0.1    localhost
127.0.0.2 Ours.test ours # web.a.test
::zz broken
127.0.0.3
EOF

sub run_with {
    my ($resolv) = @_;

    $t->file('resolv.conf', $resolv, 0644);
    local $ENV{LD_PRELOAD} = "$dir/shim.so";
    $t->run;
    return;
}

sub body { return $t->get("/w?h=$_[0]")->{body} }

sub comes_to {
    my ($host, $n, $name) = @_;
    my %before = map { ($_ => $at{$_}->count) } keys %at;
    like(body($host), qr/pong/, $name) or return;
    return is(join(' ', grep { $at{$_}->count > $before{$_} } sort keys %at),
              $n, '.. at its address');
}

$t->allow(qr/is not resolved|could not be resolved|Connection refused/);
$t->conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    fetch_timeout 2s;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /w { io_probe_fetch http://\$arg_h:$port/; }
    }
    server { listen $web; keepalive_timeout 0; return 200 pong; }
}
EOF

my %say = ('web.test' => 3, 'web.a.test' => 4, 'web' => 5, 'one.a.test' => 4,
           'x.y.b.test' => 3, 'x.y' => 5);

$dns->say($_, { ttl => 60, addrs => ["127.0.0.$say{$_}"] }) for keys %say;


# -- names of hosts(5), whole lines only, in any case

run_with("nameserver 127.0.0.9\n");
comes_to($_, 2, "hosts: $_") for qw(ours OURS.TEST);
is($dns->count('ours') + $dns->count('ours.test'), 0, 'nobody is asked');
comes_to('web.test', 3, 'a name of the name server');
comes_to('web', 5, 'a short one, without a list, and not of a comment');


# -- search lists: the last one counts; few dots are looked for in it first

$t->stop;
run_with(<<'EOF');
# nameserver 127.0.0.1
search gone.test
  nameserver   127.0.0.9   ; ours
nameserver fe80::1%lo
nameserver nonsense
search a.test b.test
options timeout:1 ndots:1
EOF
comes_to('web', 4, 'a short name, in the first domain');
is($dns->count('web.gone.test'), 0, 'an earlier list does not count');
comes_to('x.y', 5, 'a name with a dot, as it is');
comes_to('web.test', 3, '.. again');
$dns->say('one.a.test', { mode => 'nx' });
$dns->say('one.b.test', { ttl => 60, addrs => ['127.0.0.3'] });
comes_to('one', 3, 'a short name, in the second domain');
$dns->say('two', { ttl => 60, addrs => ['127.0.0.4'] });
comes_to('two', 4, 'a short name, in none');
like(body('none'), qr/^unavailable .*resolve host/, 'nowhere');
is(join(' ', map { $dns->count($_) } qw(none.a.test none.b.test none)),
   '1 1 1', '.. asked everywhere, once');
my $long = join '.', ('n' x 60) x 4;
like(body($long), qr/^unavailable/, 'a name that is too long with a domain');
like(body('n' x 300), qr/^(?:unavailable|rejected)/, 'and without');


# -- ndots

$t->stop;
run_with("options ndots:2\ndomain b.test\nnameserver 127.0.0.9");
comes_to('x.y', 3, 'ndots: looked for in the domain first');
comes_to('web.a.test', 4, 'with two dots as it is');


# -- without any server libc asks this machine: nobody is there

$t->stop;
run_with('');
like(body('web.test'), qr/^(?:unavailable|timeout)/, 'no name server');
like(body('ours'), qr/pong/, 'hosts is read all the same');

$t->finish;
done_testing;
