package Sallyport::Quickstart;

=head1 NAME

Sallyport::Quickstart - what `make start` runs, in a copy of the tree

=head1 SYNOPSIS

    my $t = Sallyport::Test->new;
    my $q = Sallyport::Quickstart->new($t);

    my ($status, $out) = $q->command('conf/quickstart/start');
    $q->url;                      # http://127.0.0.1:port
    $q->pids;                     # of the servers that run

The copy shares the built modules and the npm packages.  Whatever it started
is stopped when the test ends.

=cut

use strict;
use warnings;

use Sallyport::Test;


my @live;


sub new {
    my ($class, $t) = @_;

    my $top = $Sallyport::Test::top;
    my $copy = $t->dir . '/tree';

    # the second port is the demo model's
    $ENV{SALLYPORT_PORT} = $t->port;
    delete @ENV{qw(OPENAI_API_KEY OPENAI_BASE_URL MAKEFLAGS MAKELEVEL)};

    mkdir $copy;
    mkdir "$copy/t";
    system('cp', '-a',
           (map { "$top/$_" } qw(conf modules sql config Makefile web)),
           $copy) == 0 or die "cannot copy the tree\n";
    system 'cp', '-a', "$top/t/chain", "$top/t/package.json", "$copy/t/";
    symlink "$top/objs", "$copy/objs";
    symlink "$top/t/node_modules", "$copy/t/node_modules"
        if -d "$top/t/node_modules";

    # the modules are built, the packages installed
    $t->file("tree/modules/$_", "#!/bin/sh\nexit 0\n", 0755)
        for qw(build install);

    my $self = bless { dir => $copy }, $class;
    push @live, $self;

    return $self;
}


sub dir { return $_[0]{dir} }


sub url { return "http://127.0.0.1:$ENV{SALLYPORT_PORT}" }


# (exit status, what it printed)

sub command {
    my ($self, @command) = @_;

    my $text = `cd '$self->{dir}' && @command 2>&1 </dev/null`;

    return ($? >> 8, $text);
}


sub pids {
    my ($self) = @_;

    my @found;

    for my $file (qw(nginx/nginx.pid redis/redis.pid pg/data/postmaster.pid
                     chain/chain.pid)) {
        my ($pid) = Sallyport::Test::slurp("$self->{dir}/run/$file")
                    =~ /^(\d+)/
            or next;
        push @found, $pid
            if length Sallyport::Test::slurp("/proc/$pid/cmdline");
    }

    return @found;
}


END {
    my $status = $?;

    system "'$_->{dir}/conf/quickstart/stop' >/dev/null 2>&1" for @live;

    $? = $status;
}


1;
