#!/usr/bin/perl

# docker/ read: the habits of good images and compositions, that what it names
# exists, that it says what the quickstart says, and what docker/settings
# makes of an environment.  t/slow/image.t builds and runs it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Compose;
use Sallyport::Dockerfile;
use Sallyport::Test;
use Test::More;


plan skip_all => 'YAML::PP is not installed (libyaml-pp-perl)'
    unless eval { require YAML::PP; 1 };

my $top = $Sallyport::Test::top;

chdir $top or die "$top: $!\n";

my $t = Sallyport::Test->new;
my $file = Sallyport::Dockerfile->new('docker/Dockerfile');
my $compose = Sallyport::Compose->new;
my $services = $compose->{services};
my $page = Sallyport::Test::slurp('docs/docker.md');

# -- the Dockerfile

none('each base is pinned to a version', sub {
    my ($stage) = @_;
    return "FROM $stage->{from}"
        unless $stage->{from} =~ /:(?:\w+-\d{8}-slim|\d+\.\d+\.\d+-[\w-]+)$/
               || $file->stage($stage->{from});
    return;
});

none('no ADD, no secret in ENV or ARG', sub {
    map { $_->{word} eq 'ADD' ? 'ADD'
          : $_->{word} =~ /^(?:ENV|ARG)$/
            ? grep { /(?:SECRET|TOKEN|PASSWORD|KEY)\w*=/ && !/_FILE=/ }
              @{ $_->{args} } : () } steps(@_);
});

none('packages are installed with their index, and without it kept', sub {
    map { "line $_->{line}: $_->{rest}" } grep {
        $_->{rest} =~ /apt(?:-get)? (?:install|update)/
        && $_->{rest} !~ m{^apt-get\ update\ &&\ apt-get\ install\ -y
                           \ --no-install-recommends\ [^&]*
                           &&\ rm\ -rf\ /var/lib/apt/lists/\*$}x
    } steps($_[0], 'RUN');
});

none('no sudo, no cd, no upgrade, no pipe, no curl of a script', sub {
    map { "line $_->{line}: $_->{rest}" } grep {
        $_->{rest} =~ /\bsudo\b|\bcd\b|apt-get (?:dist-)?upgrade|[^|]\|[^|]
                      |\b(?:curl|wget)\s+\S*http/x } steps($_[0], 'RUN');
});

none('packages are in order, each once', sub {
    map {
        my @names = grep { !/^-/ } split ' ',
            ($_->{rest} =~ /apt-get install -y (.*?) &&/)[0] // '';
        my %seen;
        join(' ', @names) eq join(' ', sort grep { !$seen{$_}++ } @names)
            ? () : "line $_->{line}: @names";
    } steps($_[0], 'RUN');
});

none('folders are absolute', sub {
    map { "line $_->{line}: $_->{word} $_->{rest}" } grep {
        grep { !m{^/} } @{ $_->{args} } } steps($_[0], 'WORKDIR', 'VOLUME');
});

none('commands are JSON arrays', sub {
    map { "line $_->{line}: $_->{rest}" } grep { !$_->{exec} }
        steps($_[0], 'ENTRYPOINT', 'CMD', 'HEALTHCHECK');
});

none('what is copied exists, and passes .dockerignore', sub {
    my ($stage) = @_;
    my @kept = Sallyport::Test::slurp('.dockerignore') =~ /^!(.*)$/mg;

    return map {
        my @from = @{ $_->{args} };
        pop @from;
        $_->{flags}{from} ? () : grep {
            my $path = $_;
            !-e $path || !grep { $path eq $_ || $path =~ m{^\Q$_\E/} } @kept;
        } @from;
    } steps($stage, 'COPY');
});

like(Sallyport::Test::slurp('.dockerignore'), qr/^\*$/m,
     '.dockerignore keeps out what it does not name');

for my $name (map { $_->{build}{target} } grep { $_->{build} }
              map { $services->{$_} } sort keys %$services)
{
    my $stage = $file->stage($name);
    my @users = steps($stage, 'USER');

    like($users[-1]{rest} // 'root', qr/^[1-9]\d*:[1-9]\d*$/,
         "$name ends as a user with a number");
    ok((grep { $_->{word} eq 'ENTRYPOINT' } steps($stage)), "$name has its entrypoint");
    ok($services->{$name}{healthcheck}{disable} || steps($stage, 'HEALTHCHECK') == 1,
       "$name has one health check, or ends by itself");
}

is((steps($file->stage('gateway'), 'STOPSIGNAL'))[0]{rest}, 'SIGQUIT',
   'a stop is graceful');
is(($file->stages)[-1]{name}, 'gateway', 'the gateway is the default target');

# what building needs is written twice
my ($apt) = map { $_->{rest} } steps($file->stage('build'), 'RUN');
my %not_here = map { $_ => 1 } qw(nginx postgresql redis-server openssl curl
    ca-certificates util-linux dpkg-dev xz-utils);
is(join(' ', grep { !/^-/ } split ' ', ($apt =~ /install -y (.*?) &&/)[0]),
   join(' ', sort grep { !/^\?/ && !$not_here{$_} }
             map { s/\s*#.*//r } grep { /^[^#]/ }
             split /\n/, Sallyport::Test::slurp('modules/packages')),
   'the packages for building are those of modules/packages');

# -- compose.yaml

for my $name (sort keys %$services) {
    my $s = $services->{$name};

    like($s->{image}, qr/^[\w.\/-]+:(?!latest$)[\w.-]+$/, "$name: a tag");
    ok($s->{healthcheck}{test}
       || $s->{healthcheck}{disable} && $s->{restart} eq 'no', "$name: a health check");
    ok($s->{read_only}, "$name: read-only");
    is_deeply($s->{cap_drop}, ['ALL'], "$name: no capability");
    is_deeply($s->{security_opt}, ['no-new-privileges:true'], "$name: no new privilege");
    ok($s->{user} || $s->{build}, "$name: a user that is not root");
    ok(!$s->{privileged} && !$s->{network_mode} && !$s->{cap_add} && !$s->{pid},
       "$name: nothing of the machine's");

    my %named = (networks => $s->{networks}, secrets => $s->{secrets},
        volumes => [ map { (split /:/)[0] } @{ $s->{volumes} || [] } ]);
    none("$name: what it names is there", sub {
        map { my $kind = $_;
              map { "$kind $_" } grep { !exists $compose->{$kind}{$_} }
              @{ $named{$kind} || [] } } sort keys %named;
    }, 1);

    none("$name: what it waits for has the condition", sub {
        map {
            my ($other, $how) = ($services->{$_},
                                 $s->{depends_on}{$_}{condition} // '');
            $how eq 'service_healthy' && $other->{healthcheck}{test}
            || $how eq 'service_completed_successfully'
               && ($other->{restart} // '') eq 'no' ? () : $_;
        } sort keys %{ $s->{depends_on} || {} };
    }, 1);
    next unless $s->{build};

    my %env = map { (split /=/)[0] => 1 } map { @{ $_->{args} } }
              steps($file->stage($s->{build}{target}), 'ENV');
    none("$name: its variables are those of the image", sub {
        grep { !$env{$_} } sort keys %{ $s->{environment} || {} };
    }, 1);

    my $text = join '', map { Sallyport::Test::slurp($_) } grep { -f } map {
        "docker/$_" } qw(entrypoint settings migrate local-chain);
    none("$name: every variable of the image is read", sub {
        grep { $text !~ /\b\Q$_\E\b/ && $_ ne 'CHAIN_HOST' } sort keys %env;
    }, 1);

    next if $name eq 'chain';
    none("$name: every variable is in docs/docker.md", sub {
        grep { $page !~ /`\Q$_\E`/ && $_ ne 'MIGRATE_POSTGRES' && $_ ne 'SALLYPORT_DEMO_DATA' }
             sort keys %env;
    }, 1);
}

my @ports = map { @{ $services->{$_}{ports} || [] } } keys %$services;
is("@ports", '127.0.0.1:8080:8080', 'one port is published, to this machine');
is($compose->{networks}{state}{internal} && 'yes', 'yes', 'state is apart');
none('what keeps state is nowhere else', sub {
    grep { "@{ $services->{$_}{networks} }" ne 'state' } grep { $_ ne 'gateway' }
        sort keys %$services;
}, 1);

system "docker/init '@{[ $t->dir ]}/secrets' >/dev/null";
none('docker/init makes every secret', sub {
    map { $_->{file} } grep { !-e $t->dir . "/$_->{file}" }
        values %{ $compose->{secrets} };
}, 1);
my $key = Sallyport::Test::slurp($t->dir . '/secrets/signing_key');
system "docker/init '@{[ $t->dir ]}/secrets' >/dev/null";
is(Sallyport::Test::slurp($t->dir . '/secrets/signing_key'), $key, 'and once');
is((stat $t->dir . '/secrets')[2] & 077, 0, 'in a folder of its owner');
like(Sallyport::Test::slurp('.gitignore'), qr/^\/docker\/secrets\/$/m, 'that git ignores');

none('docs/docker.md names services that exist', sub {
    grep { !$services->{$_} } map { split ' ', $_ }
        $page =~ /^docker compose .*(?:restart|exec|--force-recreate|logs) ([a-z ]+?)(?= curl|$)/mg;
}, 1);

# -- the same gateway as the quickstart's

my $quickstart = locations('conf/quickstart.conf');
my $image = locations('docker/nginx.conf');

for my $name (sort keys %$quickstart) {
    is($image->{$name}, $quickstart->{$name},
       "$name is in docker/nginx.conf as in conf/quickstart.conf");
}

# -- docker/settings

my $dir = $t->dir . '/run';
my %default = map { /^(\w+)=(.*)$/ } map { @{ $_->{args} } }
              steps($file->stage('gateway'), 'ENV');

$default{SALLYPORT_SIGNING_KEY_FILE} = $t->dir . '/secrets/signing_key';
mkdir $dir;

my ($status, $out) = settings();
is($status, 0, 'settings by default') or diag($out);
like($out, qr/the demo model answers/, 'says what answers');
is((stat "$dir/sign.jwk")[2] & 07777, 0600, 'a secret is its owner\'s alone');
like(conf('issuer'), qr{^wallet_domain http://127\.0\.0\.1:8080 http://localhost:8080;$}m,
     'this machine has two names');
is(conf('mint'), "return 503;\n", 'nothing mints');

my $secret = $t->file('secret', "s3cret\n");

settings(SALLYPORT_URL => 'https://chat.example', SALLYPORT_WORKERS => 'auto',
         SALLYPORT_PROXIES => '10.0.0.0/8 fd00::1', OPENAI_API_KEY_FILE => $secret,
         OPENAI_BASE_URL => 'https://llm.example/v1/', SALLYPORT_REDIS => 'r:1',
         SALLYPORT_REDIS_PASSWORD_FILE => $secret, MINT_RPC => 'https://rpc.example/x',
         MINT_CHAIN_ID => '5', MINT_CONTRACT => '0x' . 'a' x 40, MINT_KEY_FILE => $secret);
unlike(conf('issuer'), qr/wallet_domain/, 'an origin of one name');
is(conf('workers'), "worker_processes auto;\n", 'auto');
like(conf('proxies'), qr/^set_real_ip_from 10\.0\.0\.0\/8;\nset_real_ip_from fd00::1;$/m, 'proxies');
like(conf('servers'), qr{^redis_server main r:1 .*password_file=\Q$dir\E/redis\.password;$}m,
     'a password of Redis');
like(conf('provider'), qr{url https://llm\.example/v1;\s+key_file \Q$dir\E/openai\.key;}, 'a provider');
like(conf('chain'), qr/id 5;\n.*key_file=\Q$dir\E\/mint\.key;/s, 'a chain');
like(conf('sign-in'), qr/^wallet_chain_ids .* 5;$/m, 'is one to sign in with');
unlike(join('', map { Sallyport::Test::slurp($_) } glob "$dir/*.conf"), qr/s3cret/,
       'no secret is in the configuration');

for my $case (
    [ SALLYPORT_URL => 'chat.example', qr/https:\/\/host/ ],
    [ SALLYPORT_URL => 'https://chat.example/path', qr/without a path/ ],
    [ SALLYPORT_WORKERS => '0', qr/a number/ ],
    [ SALLYPORT_WORKERS => '2; user root', qr/a number/ ],
    [ SALLYPORT_GUESTS => 'yes', qr/on or off/ ],
    [ SALLYPORT_PROXIES => '10.0.0.0/8, ::1', qr/blank between/ ],
    [ SALLYPORT_POSTGRES => 'host=a" x', qr/connection string/ ],
    [ SALLYPORT_POSTGRES => "host=a\nuser=b", qr/connection string/ ],
    [ SALLYPORT_REDIS => 'redis:6379 db=1', qr/host:port/ ],
    [ SALLYPORT_SIGNING_KEY_FILE => '', qr/docker\/init/ ],
    [ OPENAI_API_KEY_FILE => '/nothing/here', qr/no file that uid \d+ can read/ ],
    [ OPENAI_API_KEY_FILE => '/', qr/no file that uid \d+ can read/ ],
    [ OPENAI_MODEL => 'a;}', qr/the name of a model/ ],
    [ OPENAI_MODEL => '$(id)', qr/the name of a model/ ],
    [ OPENAI_BASE_URL => 'ftp://x', qr/http:\/\/ or https:/ ],
    [ MINT_CHAIN_ID => '1', qr/need MINT_RPC/ ],
    [ MINT_RPC => 'https://rpc.example;', qr/with a host/ ])
{
    my ($name, $value, $message) = @$case;

    ($status, $out) = settings($name => $value);
    ok($status == 1 && $out =~ $message && $out =~ /^sallyport: .*\Q$name\E/s,
       "$name=" . $value =~ s/\n/\\n/r . ' is refused') or diag($out);
}

($status, $out) = settings(MINT_RPC => 'https://rpc.example');
like($out, qr/^sallyport: MINT_CHAIN_ID is "": not the number of a chain/m,
     'MINT_RPC alone is refused');

$t->finish;
done_testing;


# none(name, sub): what the sub finds for each stage; once without one

sub none {
    my ($name, $find, $once) = @_;

    my @found = $once ? $find->() : map { $find->($_) } $file->stages;

    ok(!@found, $name);
    diag("    $_") for @found;
    return;
}


sub steps {
    my ($stage, @words) = @_;

    return grep { my $i = $_; !@words || grep { $_ eq $i->{word} } @words }
           @{ $stage->{instructions} };
}


# the locations of a file, and what is set before the first server, without
# comments, blanks and what is included or said otherwise by design

sub locations {
    my ($path) = @_;

    my $text = Sallyport::Test::slurp($path) =~ s/^\s*#.*\n//mgr =~ s/[ \t]+/ /gr;
    my %found;

    $text =~ s{ ?include /run/sallyport/sign-in\.conf;\n}
              { wallet_chain_ids 1 10 56 137 8453 42161 43114 31337;\n wallet_guest on;\n};
    $text =~ s{(?:\.\./run/conf|/run/sallyport)/(\w+)\.conf}{$1.conf}g;
    $text =~ s{ root /usr/share/sallyport/web;}{ root web;};
    $found{"location $1"} //= $2 while $text =~ /location ([^{]+?) ?\{([^}]*)\}/g;
    my $set = join '|', 'quota_policy \w+', 'map \S+', qw(client_max_body_size
        moderation_rules llm_characters memory_server turn_store);
    $found{$1} = $2 while $text =~ /^ +($set) ([^\n]*)/mg;

    return \%found;
}


sub settings {
    my (%env) = @_;

    local %ENV = (PATH => $ENV{PATH}, %default, %env);
    my $text = `docker/settings '$dir' 2>&1`;

    return ($? >> 8, $text);
}


sub conf { return Sallyport::Test::slurp("$dir/$_[0].conf") }
