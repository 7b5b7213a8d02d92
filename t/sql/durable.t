#!/usr/bin/perl

# Turns and jobs wait for the disk, also where synchronous_commit is off, and
# only their transactions do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::SQL;
use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;
my $db = Sallyport::SQL->new($t->pg);
my $dbh = $db->dbh;

sub commits {
    my ($sql, @values) = @_;

    $dbh->begin_work;
    $dbh->do("set local role sallyport_gateway");
    $dbh->do($sql, undef, @values) if $sql;

    my ($value) = $dbh->selectrow_array('show synchronous_commit');

    $dbh->rollback;
    return $value;
}

$dbh->do('set synchronous_commit = off');

my $turn = Sallyport::SQL::turn(undef, user_text => 'hi');
my $turns = Sallyport::HTTP::encode([$turn]);

is(commits(), 'off', 'the session does not wait');
is(commits('select gateway.store_turns(?)', $turns), 'on', 'a turn does');
is(commits(q{select gateway.job_enqueue('test', '{}')}), 'on', 'a job does');
is(commits('select count(*) from gateway.job'), 'off', 'a look does not');

$dbh->do('set synchronous_commit = remote_write');
is(commits('select gateway.store_turns(?)', $turns), 'remote_write',
   'another choice stays');

$t->finish;
done_testing;
