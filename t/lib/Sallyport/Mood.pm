package Sallyport::Mood;

# What the fake provider does whatever it is asked: {"MODEL" => fault,
# "MODEL KEY" => .., "* KEY" => .., "*" => ..}, in a file that the test writes
# and the server reads with each request.

use strict;
use warnings;

use JSON::PP;


my $json = JSON::PP->new->canonical->latin1;


sub set {
    my ($file, %rules) = @_;

    open my $fh, '>', "$file.new" or die "$file: $!\n";
    print {$fh} $json->encode(\%rules);
    close $fh;
    rename "$file.new", $file or die "$file: $!\n";
    return;
}


# the fault of a request, or undef

sub fault {
    my ($file, $request, $headers) = @_;

    open my $fh, '<', $file or return undef;

    my $rules = eval { local $/; $json->decode(<$fh>) } or return undef;
    my $key = ($headers->{authorization} // '') =~ /(\S+)$/ ? $1 : '';
    my $model = $request->{model} // '';

    return (grep { defined } @$rules{"$model $key", "* $key", $model, '*'})[0];
}


1;
