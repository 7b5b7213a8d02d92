#!/usr/bin/perl

# sql/apply: once, again, at the same time, with a changed file, with a file
# that fails half way

use strict;
use warnings;

use File::Temp ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Test;


my $t = Sallyport::Test->new;
my $pg = $t->pg;
my $apply = "$Sallyport::Test::top/sql/apply";

our $owner = $pg->conninfo('postgres');
my $admin = DBI->connect("dbi:Pg:host=$pg->{dir};dbname=postgres",
                         'postgres', '', { RaiseError => 1 });

sub conninfo { my ($n) = @_; return $owner =~ s/dbname=\S+/dbname=$n/r }

sub run_apply {
    my ($database, $dir) = @_;
    my $out = `'$apply' '@{[conninfo($database)]}' $dir 2>&1`;
    return ($? >> 8, $out);
}

sub owner {
    my ($database) = @_;
    return DBI->connect("dbi:Pg:host=$pg->{dir};dbname=$database",
                        'postgres', '', { RaiseError => 1 });
}

sub value {
    my ($database, $query) = @_;
    return (owner($database)->selectrow_array($query))[0];
}

sub run_sql {
    my ($database, $command) = @_;
    return owner($database)->do($command);
}

sub names {
    my ($database) = @_;
    return join ',', @{ owner($database)->selectcol_arrayref(
        'select name from gateway.schema_migration order by name') };
}

my $dir = File::Temp->newdir;

# schema/0001_one or functions/domain/name
sub migration {
    my ($name, $text) = @_;
    my ($folder) = "$dir/$name" =~ m{(.*)/};
    system('mkdir', '-p', $folder) == 0 or die;
    open my $fh, '>', "$dir/$name.sql" or die $!;
    print $fh $text;
    close $fh or die $!;
}


# the project's own files, on a fresh database, eight at once

$admin->do('create database fresh');

my @pids = map {
    my $pid = fork;
    if (!$pid) {
        exec "'$apply' '@{[conninfo('fresh')]}' >/dev/null 2>&1" or exit 127;
    }
    $pid;
} 1 .. 8;

my $failed = grep { waitpid($_, 0); $? } @pids;

is($failed, 0, 'eight at once');

my @files = map { m{([^/]+)\.sql$} } glob
    "$Sallyport::Test::top/sql/schema/[0-9]*_*.sql";

is(names('fresh'), join(',', sort @files), 'each file once');

my ($rc, $out) = run_apply('fresh', '');

is($rc, 0, 'again');
unlike($out, qr/appl(?:ying|ied)/, 'nothing was left to do');


# whoever calls a function, what it names is what it means

is(value('fresh', <<'SQL'), undef, 'every function has a search_path');
select string_agg(p.oid::regprocedure::text, ', ')
  from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
 where n.nspname in ('gateway', 'auth', 'chat', 'mem', 'mint', 'api')
   and not exists (select from unnest(p.proconfig) as c
                    where c like 'search\_path=%')
SQL


# rules of the runner, on files of our own

$admin->do('create database rules');

migration('schema/0001_one', 'create table one (n int);');
migration('schema/0002_two', "create table two (n int);\nselect 1 / 0;\n");

($rc, $out) = run_apply('rules', $dir);

isnt($rc, 0, 'a file that fails is an error');
like($out, qr/0002_two\.sql.*division by zero/s, 'which one, and why');
is(names('rules'), '0001_one', 'what went before stays');

migration('schema/0002_two', 'create table two (n int);');

is((run_apply('rules', $dir))[0], 0, 'mended: nothing of it was left');
is(names('rules'), '0001_one,0002_two', 'both');

migration('schema/0001_one', 'create table one (n bigint);');
migration('schema/0003_three', 'create table three (n int);');

($rc, $out) = run_apply('rules', $dir);

isnt($rc, 0, 'a changed file is refused');
like($out, qr/0001_one\.sql was changed after it was applied/, 'named');
is(names('rules'), '0001_one,0002_two', 'before anything is done');

migration('schema/0001_one', 'create table one (n int);');


# functions: again whenever their text has changed, all or none

migration('functions/b/late', <<'SQL');
create or replace function public.late() returns int
language sql as $$ select public.early() + 1 $$;
SQL
migration('functions/c/early', <<'SQL');
create or replace function public.early() returns int
language sql as $$ select 1 $$;
SQL

($rc, $out) = run_apply('rules', $dir);
is($rc, 0, 'a function may call one of a later file') or diag $out;
is(value('rules', 'select public.late()'), 2, 'both are there');

($rc, $out) = run_apply('rules', $dir);
unlike($out, qr/applied/, 'nothing has changed, nothing is done');

migration('functions/c/early', <<'SQL');
create or replace function public.early() returns int
language sql as $$ select 41 $$;
SQL

($rc, $out) = run_apply('rules', $dir);
is($rc, 0, 'a function has changed');
like($out, qr{^sql: applied functions/c/early$}m, 'its file is applied');
unlike($out, qr{functions/b/late}, 'and no other');
is(value('rules', 'select public.late()'), 42, 'it is the new one');

migration('functions/b/late', <<'SQL');
create or replace function public.late() returns int
language sql as $$ select public.early() + 2 $$;
SQL
migration('functions/c/wrong', <<'SQL');
create or replace function public.wrong() returns int
language sql as $$ select public.nowhere() $$;
SQL

($rc, $out) = run_apply('rules', $dir);
isnt($rc, 0, 'a body that calls what is not there');
like($out, qr/public\.nowhere\(\) does not exist/, 'is named');
is(value('rules', 'select public.late()'), 42, 'and nothing was changed');

# a file that went away and came back is applied again, as it was

my $late = "$dir/functions/b/late.sql";

migration('functions/c/wrong', "select 1;\n");
is((run_apply('rules', $dir))[0], 0, 'mended');

rename $late, "$late.away" or die "$late: $!\n";
is((run_apply('rules', $dir))[0], 0, 'a file is gone');
is(value('rules', 'select public.late()'), 43, 'what it has made stays');

run_sql('rules', 'drop function public.late()');
rename "$late.away", $late or die "$late: $!\n";
($rc, $out) = run_apply('rules', $dir);
like($out, qr{^sql: applied functions/b/late$}m, 'it is back: applied again');
is(value('rules', "select to_regprocedure('public.late()')::text"), 'late()',
   'and its function is there');

# nobody but who was granted it calls a function, whoever has applied it

migration('schema/0004_four', 'create schema d;');
migration('functions/d/open', <<'SQL');
create or replace function d.open(n int) returns int
language sql as $$ select n $$;
SQL

is((run_apply('rules', $dir))[0], 0, 'a domain');
is(value('rules', "select has_function_privilege('public', 'd.open(int)',
    'execute')"), 0, 'its function is closed');

$admin->do('create role second superuser login');
migration('functions/d/open', <<'SQL');
create or replace function d.open(n int, m int) returns int
language sql as $$ select n + m $$;
SQL
{
    local $owner = $owner =~ s/user=\S+/user=second/r;
    is((run_apply('rules', $dir))[0], 0, 'another role applies a new one');
}
is(value('rules', "select proowner::regrole from pg_proc
    where oid = 'd.open(int,int)'::regprocedure"), 'second', 'its own');
is(value('rules', "select has_function_privilege('public',
    'd.open(int,int)', 'execute')"), 0, 'is closed as well');

($rc, $out) = run_apply('rules', '/nonexistent');
isnt($rc, 0, 'no such directory');

$t->finish;
done_testing;
