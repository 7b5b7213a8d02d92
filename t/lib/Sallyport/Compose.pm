package Sallyport::Compose;

=head1 NAME

Sallyport::Compose - docker/compose.yaml, and its services without an engine

=head1 SYNOPSIS

    my $compose = Sallyport::Compose->new({ SALLYPORT_GUESTS => 'on' });
    $compose->{services}{gateway}{environment};    # ${NAME:-default} replaced

    my $container = $compose->run($images, 'gateway', dir => $dir,
        secrets => $folder, files => { '/etc/resolv.conf' => $file });

Volumes are folders of "dir" with the owner that the image gives them, as an
engine makes new ones.  YAML::PP is needed to read the file.

=cut

use strict;
use warnings;

use Sallyport::Image;
use Sallyport::Test;


our $path = "$Sallyport::Test::top/docker/compose.yaml";


sub new {
    my ($class, $env) = @_;

    require YAML::PP;

    my $yaml = YAML::PP->new(schema => [qw(+ Merge)])->load_file($path);

    return bless interpolate($yaml, $env || {}), $class;
}


sub interpolate {
    my ($value, $env) = @_;

    return [ map { interpolate($_, $env) } @$value ] if ref $value eq 'ARRAY';
    return { map { $_ => interpolate($value->{$_}, $env) } keys %$value }
        if ref $value eq 'HASH';
    return $value if ref $value || !defined $value;

    # the innermost first: a default may have another in it
    1 while $value =~ s/\$\{(\w+):-([^\${}]*)\}/$env->{$1} || $2/ge;
    die "compose.yaml: $value is not read here\n" if $value =~ /\$/;
    return $value;
}


sub run {
    my ($self, $images, $name, %arg) = @_;

    my $service = $self->{services}{$name} or die "no service $name\n";
    my $image = $images->build($service->{build}{target});
    my %files = %{ $arg{files} || {} };
    my (%tmpfs, %binds);

    for my $mount (@{ $service->{tmpfs} || [] }) {
        my ($where, $options) = split /:/, $mount, 2;
        $tmpfs{$where} = $options // 'mode=1777';
    }

    for my $mount (@{ $service->{volumes} || [] }) {
        my ($volume, $where, $mode) = split /:/, $mount;
        my $folder = "$arg{dir}/volume-$volume";

        if (mkdir $folder) {
            my ($mode, $uid, $gid) = (stat "$image->{root}$where")[2, 4, 5];
            chmod $mode & 07777, $folder;
            chown $uid, $gid, $folder;
        }
        ($mode ? \%files : \%binds)->{$where} = $folder;
    }

    $files{"/run/secrets/$_"} = "$arg{secrets}/$_"
        for @{ $service->{secrets} || [] };

    return $image->run(%arg, files => \%files, tmpfs => \%tmpfs,
                       binds => \%binds,
                       env => { %{ $service->{environment} || {} },
                                %{ $arg{env} || {} } });
}


1;
