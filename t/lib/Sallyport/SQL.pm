package Sallyport::SQL;

=head1 NAME

Sallyport::SQL - transactions as the gateway makes them

=head1 SYNOPSIS

    my $db = Sallyport::SQL->new($t->pg);

    my @rows = $db->as_user($uuid, 'select * from chat.chat');
    my ($status, $json) = $db->api($uuid, 'GET', '/api/v1/chats', { limit => 5 });
    my $n = $db->gateway('select gateway.store_turns(?)', $json);

Logs in as the gateway does and chooses role and claims per transaction.
die() carries the SQLSTATE as $Sallyport::SQL::state.

=cut

use strict;
use warnings;

use DBI;
use JSON::PP;


our $state;

my $json = JSON::PP->new->canonical->allow_nonref;


sub new {
    my ($class, $pg) = @_;

    my $dbh = DBI->connect("dbi:Pg:host=$pg->{dir};dbname=sallyport",
        'sallyport', '', { RaiseError => 1, PrintError => 0,
                           PrintWarn => 0, AutoCommit => 1,
                           pg_enable_utf8 => 1 });

    return bless { dbh => $dbh }, $class;
}


sub dbh { return $_[0]{dbh} }


# rows as array references; in scalar context the first value

sub as {
    my ($self, $role, $claims, $sql, @values) = @_;

    my $dbh = $self->{dbh};
    my $rows;

    undef $state;
    $dbh->begin_work;

    my $ok = eval {
        $dbh->do(q{select set_config('role', ?, true),
                          set_config('request.jwt.claims', ?, true)},
                 undef, $role, $claims);

        my $sth = $dbh->prepare($sql);
        $sth->execute(@values);
        $rows = $sth->{NUM_OF_FIELDS} ? $sth->fetchall_arrayref : [];
        $dbh->commit;
        1;
    };

    if (!$ok) {
        my $error = $@;
        $state = $dbh->state;
        eval { $dbh->rollback };
        die $error;
    }

    return wantarray ? @$rows : @$rows ? $rows->[0][0] : undef;
}


sub as_user {
    my ($self, $user, @rest) = @_;
    return $self->as('sallyport_user', $json->encode({ sub => $user }),
                     @rest);
}


sub as_anon { my $self = shift; return $self->as('sallyport_anon', '', @_) }


sub gateway {
    my $self = shift;
    return $self->as('sallyport_gateway', '', @_);
}


# (status, value, location, allow); a refusal gives its status and DETAIL

sub api {
    my ($self, $user, $method, $path, $query, $body) = @_;

    my @values = ($method, $path, $json->encode($query || {}),
                  defined $body ? $json->encode($body) : undef);
    my $sql = 'select status, reply, location, allow from
               api.call(?, ?, ?::jsonb, ?::jsonb)';
    my ($row) = eval {
        defined $user ? $self->as_user($user, $sql, @values)
                      : $self->as_anon($sql, @values);
    };

    if (!$row) {
        my ($status) = ($state || '') =~ /^PT(\d{3})$/;
        my ($code) = $@ =~ /^DETAIL:\s+(\S+)/m;
        return ($status || $state || $@, $code);
    }

    return ($row->[0], defined $row->[1] ? $json->decode($row->[1]) : undef,
            @$row[2, 3]);
}


# a user, and a turn of theirs, with the members given

sub user {
    my ($self, $id) = @_;
    $self->gateway('insert into auth.users (id) values (?)
                    on conflict do nothing', $id);
    return $id;
}


my $serial = 0;

sub turn {
    my ($self, %member) = @_;

    return {
        id => sprintf('10000000-0000-4000-8000-%012x', ++$serial),
        outcome => 'complete', provider => 'demo', model => 'demo',
        finish_reason => 'stop', status => 200, prompt_tokens => 10,
        completion_tokens => 5, cached_tokens => 0,
        stream => JSON::PP::false,
        store => JSON::PP::true, memory => JSON::PP::true,
        first_byte_ms => 3, total_ms => 9, at => 1790000000 + $serial,
        user_text => 'hello', assistant_text => 'Good day.', %member,
    };
}


sub store {
    my ($self, @turns) = @_;
    return $self->gateway('select gateway.store_turns(?)',
                          $json->encode(\@turns));
}


1;
