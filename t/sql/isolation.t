#!/usr/bin/perl

# Row-level security: another user's rows never; forged, broken and missing
# claims; ids that are prefixes of each other; a pooled connection after
# errors; the owner of the tables

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::SQL;
use Sallyport::Test;


my $t = Sallyport::Test->new;

$t->pg;

my $db = Sallyport::SQL->new($t->pg);
my $mira = '00000000-0000-4000-8000-0000000000c1';

$t->dbh->do("insert into chat.character (id, name, is_public)
             values ('$mira', 'Mira', true)");

# ten users whose ids differ in one digit, and one that is cut short
my @users = map { $db->user(sprintf '00000000-0000-4000-8000-%012d', $_) }
            1, 10, 100, 1000, 2 .. 7;
my %secret;

for my $user (@users) {
    my $word = 'zebra' . substr($user, -4);

    $secret{$user} = $word;
    $db->store($db->turn(user_id => $user, character_id => $mira,
                         user_text => "My password word is $word indeed"));

    my ($status) = $db->api($user, 'POST', '/api/v1/memories', {},
        { character_id => $mira, content => "The password word is $word" });
    is($status, 201, "memory of $user");

    my $address = '0x' . substr($user =~ tr/-//dr, -10) x 4;

    $t->dbh->do('insert into auth.wallets (address, user_id) values (?, ?)',
                undef, $address, $user);
    $t->dbh->do("insert into auth.sessions (user_id, address, idle_until,
                 expires_at) values (?, ?, now(), now())", undef, $user,
                $address);
}

my @tables = ('chat.chat', 'chat.message', 'gateway.ledger',
              'gateway.usage_daily', 'mem.scope', 'mem.memory',
              'auth.wallets', 'auth.sessions',
              '(select id as user_id from auth.users) as u');
my $foreign = 0;
my $own = 0;

for my $user (@users) {
    for my $table (@tables) {
        for my $row ($db->as_user($user, "select user_id from $table")) {
            $row->[0] eq $user ? $own++ : $foreign++;
        }
    }

    my $rows = join "\n", map { join ' ', map { $_ // '' } @$_ }
        $db->as_user($user, 'select * from mem.recall(?, ?)', $mira,
                     'what is the password word?');

    $own++ if $rows =~ /fact.*$secret{$user}/;
    $own++ if $rows =~ /turn.*$secret{$user}/;

    for my $other (grep { $_ ne $user } @users) {
        $foreign++ if $rows =~ /$secret{$other}\b/;
    }
}

is($foreign, 0, 'rows of another user: 0');
is($own, @users * 12, 'rows of one\'s own: all');


# writing what is another's

my ($victim, $thief) = @users[0, 1];
my $memory = $t->sql('select id from mem.memory where user_id = ?', $victim);
my $chat = $t->sql('select id from chat.chat where user_id = ?', $victim);

$t->dbh->do("insert into chat.character (name, owner_id) values ('Own', ?)",
            undef, $thief);

for my $case (
    ['GET', "/api/v1/memories/$memory", undef],
    ['PATCH', "/api/v1/memories/$memory", { content => 'mine' }],
    ['DELETE', "/api/v1/memories/$memory", undef],
    ['GET', "/api/v1/chats/$chat", undef],
    ['PATCH', "/api/v1/chats/$chat", { title => 'mine' }],
    ['DELETE', "/api/v1/chats/$chat", undef],
    ['GET', "/api/v1/chats/$chat/messages", undef])
{
    my ($method, $path, $body) = @$case;
    my ($status) = $db->api($thief, $method, $path, {}, $body);

    is($status, 404, "$method of another user's is not found");
}

is(scalar $t->sql('select count(*) from mem.memory where id = ?', $memory),
   1, 'it is still there');

for my $sql (
    "update mem.memory set user_id = '$victim'",
    "update chat.chat set user_id = '$victim'",
    "insert into chat.character (name, owner_id) values ('x', '$victim')",
    "update chat.character set owner_id = '$victim' where name = 'Own'",
    "insert into mem.memory (scope_id, user_id, character_id, content, hash,
     tsv) select id, '$victim', character_id, 'x', 'x', '' from mem.scope",
    'insert into chat.message select * from chat.message',
    'delete from mem.tombstone', 'select * from gateway.ledger',
    'select * from gateway.schema_migration',
    'select gateway.store_turns(\'[]\')', 'update auth.users set tier = \'pro\'')
{
    my $n = eval { $db->as_user($thief, $sql); 1 };

    if ($sql =~ /^update mem/ || $sql =~ /^update chat/
        || $sql =~ /^insert into (?:mem|chat\.character)/)
    {
        # one's own rows exist, so the check must have fired
        is($Sallyport::SQL::state, '42501', "refused: $sql");

    } else {
        ok(!$n, "refused: $sql");
    }
}


# characters: public ones, while they are there

my $names = 'select name from chat.character order by name';

$t->dbh->do("insert into chat.character (name, is_public, deleted_at)
             values ('Gone', true, now()), ('Hidden', false, null)");

is_deeply([ map { $_->[0] } $db->as_anon($names) ], ['Mira'],
          'nobody sees what is public and not deleted');
is_deeply([ map { $_->[0] } $db->as_user($thief, $names) ],
          ['Mira', 'Own'], 'a person also what is her own');


# claims that are not a person's

my $count = 'select count(*) from mem.memory';

for my $claims ('', '{}', '{"sub":null}', '{"sub":""}', '{"sub":"%"}',
                '{"sub":"00000000-0000-4000-8000-00000000000"}',
                '{"sub":"00000000-0000-4000-8000-0000000000010"}',
                '{"sub":["00000000-0000-4000-8000-000000000001"]}',
                '{"sub":"\' or true --"}',
                '{"user":"00000000-0000-4000-8000-000000000001"}')
{
    is($db->as('sallyport_user', $claims, $count), 0,
       "nothing for claims '$claims'");
}

for my $claims ('{', 'null', '[]', '"x"', '1') {
    my $n = eval { $db->as('sallyport_user', $claims, $count) };
    ok(!$n, "nothing for claims '$claims'");
}

is($db->as('sallyport_user',
           qq({"sub":"\U$victim\E"}), $count), 1,
   'a UUID in capitals is the same person');


# the connection afterwards: nobody again, whatever happened before

eval { $db->as_user($victim, 'select 1 / 0') };
like($@, qr/division by zero/, 'an error in a transaction of the victim');
is(scalar eval { $db->dbh->selectrow_array($count) }, undef,
   'the login role itself reads nothing');
is($db->as('sallyport_user', '', $count), 0, 'no claims are left behind');
is($db->as_user($thief, $count), 1, 'the next user sees their own');


# the owner of the tables is not above the policies

$t->dbh->do('create role house login nosuperuser nobypassrls');
$t->dbh->do('alter table mem.memory owner to house');

my $house = DBI->connect("dbi:Pg:host=$t->{pg}{dir};dbname=sallyport",
                         'house', '', { RaiseError => 1, PrintError => 0 });

$t->dbh->do('grant usage on schema mem, auth to house');
$t->dbh->do('grant execute on function auth.uid() to house');
is(($house->selectrow_array($count))[0], 0,
   'the owner of the table sees nothing either');
$house->disconnect;


# anonymous

is(($db->api(undef, 'GET', '/api/v1/memories'))[0], 401, 'nobody: 401');
eval { $db->as_anon($count) };
is($Sallyport::SQL::state, '42501', 'nobody may not even ask');

$t->finish;
done_testing;
